"""What a sweep tries: all combinations of some values, random draws, or a search."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from cnnlab.errors import LabError
from cnnlab.models.definitions import DEFINITIONS, Definition
from cnnlab.networks.shelf import network_named
from cnnlab.runs.run import Run
from cnnlab.training.recipe import SETTINGS, TrainingConfig
from cnnlab.training.setting_kinds import Whole

MOST_RUNS = 10_000
# What a sweep can try: the definition, and every setting of the recipe.
FIELDS = ("model", *SETTINGS)
SAMPLERS = ("tpe", "random")
# Of the training images: what a search chooses by, where its plan does not say how many.
_VALIDATION = 10_000
_GREATEST = 10**12


class InvalidSweep(LabError, ValueError):
    """A plan cannot be carried out."""


@dataclass(frozen=True)
class Between:
    """Any number from a least to a greatest; with `is_logarithmic`, each power of ten is as probable as the next."""

    low: float
    high: float
    is_logarithmic: bool = False

    def draw(self, chance: random.Random) -> float:
        """Return one of them."""
        if self.is_logarithmic:
            return math.exp(chance.uniform(math.log(self.low), math.log(self.high)))
        return chance.uniform(self.low, self.high)

    def rounded(self, number: float) -> float:
        """Return a number to three digits, or the end that is nearest to it."""
        return min(max(float(f"{number:.3g}"), self.low), self.high)


@dataclass(frozen=True)
class Search:
    """How a sweep looks for the best settings, by the accuracy on images that are not trained on; see
    `cnnlab.sweeps.search`.

    Attributes
    ----------
    runs
        How many it makes.
    at_once
        How many of them wait or train at a time. The more, the less each one knows of the others.
    sampler
        One of `SAMPLERS`, Optuna's: "tpe" learns from the runs so far, "random" does not.
    seed
        Decides the draws.
    """

    runs: int
    at_once: int = 2
    sampler: str = "tpe"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, most in (("runs", MOST_RUNS), ("at_once", MOST_RUNS), ("seed", 2**32 - 1)):
            value, least = getattr(self, name), 0 if name == "seed" else 1
            if not (type(value) is int and least <= value <= most):
                raise InvalidSweep(f"{name} of a search is {value!r}; allowed is a whole number, {least} to {most:,}.")
        if self.sampler not in SAMPLERS:
            raise InvalidSweep(f"sampler of a search is {self.sampler!r}; allowed is one of {', '.join(SAMPLERS)}.")


@dataclass(frozen=True)
class Plan:
    """What a sweep tries.

    Attributes
    ----------
    settings
        For some of `FIELDS`: what all runs share, or a tuple of values, or numbers `Between` two. All others are the
        tutorial's.
    draws
        How many different runs are drawn at random; None for one of each combination.
    draws_seed
        Decides which.
    search
        How the best are looked for; None for making all runs at once.

    Raises
    ------
    InvalidSweep
        If a field is unknown, or nothing is to be tried, or a number between two is asked for without drawing.
    """

    settings: Mapping[str, Any]
    draws: int | None = None
    draws_seed: int = 0
    search: Search | None = None

    def __post_init__(self) -> None:
        for name, value in self.settings.items():
            if name not in FIELDS:
                raise InvalidSweep(f"{name!r} is no setting of a run; a sweep can try {', '.join(FIELDS)}.")
            if value == ():
                raise InvalidSweep(f"{name} has no values: give at least one, or leave it out.")
            if isinstance(value, tuple) and len(set(map(repr, value))) < len(value):
                raise InvalidSweep(f"{name} has a value twice: {', '.join(map(str, value))}.")
            if isinstance(value, Between):
                self._require_sound(name, value)
        if self.search and self.draws is not None:
            raise InvalidSweep("A search draws its runs itself: leave out the draws, or the search.")
        if self.search and not _is_above_0(self.settings.get("validation", _VALIDATION)):
            raise InvalidSweep("A search chooses by images that are not trained on: validation must be above 0.")
        if self.draws is not None and not (type(self.draws) is int and 1 <= self.draws <= MOST_RUNS):
            raise InvalidSweep(f"draws is {self.draws!r}; allowed is a whole number from 1 to {MOST_RUNS:,}.")
        if self.count > MOST_RUNS:
            raise InvalidSweep(f"These are {self.count:,} runs; a sweep has at most {MOST_RUNS:,}.")

    def _require_sound(self, name: str, between: Between) -> None:
        if self.draws is None and self.search is None:
            raise InvalidSweep(f"{name} lies between two numbers: say how many runs to draw, or list its values.")
        numbers = (between.low, between.high)
        if not all(type(each) in (int, float) and abs(each) <= _GREATEST for each in numbers):
            raise InvalidSweep(f"{name} must lie between two numbers, neither beyond {_GREATEST:,}.")
        if between.low >= between.high or (between.is_logarithmic and between.low <= 0):
            raise InvalidSweep(
                f"{name} lies between {between.low:g} and {between.high:g}: the first must be smaller"
                f"{', and above 0' if between.is_logarithmic else ''}."
            )

    @property
    def tried(self) -> list[str]:
        """The fields that differ from run to run."""
        return [
            name
            for name, value in self.settings.items()
            if isinstance(value, Between) or (isinstance(value, tuple) and len(value) > 1)
        ]

    @property
    def count(self) -> int:
        """How many runs it makes."""
        if self.search:
            return self.search.runs
        if self.draws is not None:
            return self.draws
        return int(different_recipes(self.settings))

    def recipes(self) -> list[tuple[Definition, TrainingConfig]]:
        """Return the runs to make at once: all combinations, the last field changing fastest, or the draws.

        Those of a search come one after another; of these, the ends of what it tries are returned.

        Raises
        ------
        InvalidSweep
            If there are not so many different ones to draw.
        UnknownDefinition, InvalidConfig
            If a value is not allowed.
        """
        if self.search:
            chosen = self._ends()
        elif self.draws is not None:
            chosen = self._draws()
        else:
            chosen = self._combinations()
        return [self.recipe(settings) for settings in chosen]

    def recipe(self, settings: Mapping[str, Any]) -> tuple[Definition, TrainingConfig]:
        """Return the run with some settings, one value for each that the plan names."""
        definition = network_named(settings.get("model", next(iter(DEFINITIONS))))
        config = TrainingConfig(**{name: value for name, value in settings.items() if name != "model"})
        if self.search and not config.validation:
            config = replace(config, validation=_VALIDATION)
        return definition, config

    def _ends(self) -> list[dict[str, Any]]:
        values = {
            name: (value.low, value.high)
            if isinstance(value, Between)
            else value
            if isinstance(value, tuple)
            else (value,)
            for name, value in self.settings.items()
        }
        most = max((len(each) for each in values.values()), default=1)
        return [{name: each[min(place, len(each) - 1)] for name, each in values.items()} for place in range(most)]

    def _combinations(self) -> list[dict[str, Any]]:
        values = [value if isinstance(value, tuple) else (value,) for value in self.settings.values()]
        return [dict(zip(self.settings, each, strict=True)) for each in product(*values)]

    def _draws(self) -> list[dict[str, Any]]:
        chance = random.Random(self.draws_seed)
        drawn: dict[str, dict[str, Any]] = {}
        tries = 100 * self.count if self.count <= different_recipes(self.settings) else 0
        for _ in range(tries):
            settings = {name: _draw(name, value, chance) for name, value in self.settings.items()}
            drawn.setdefault(repr(settings), settings)
            if len(drawn) == self.draws:
                return list(drawn.values())
        raise InvalidSweep(f"There are fewer than {self.draws:,} different runs to draw: ask for fewer.")


def is_whole(name: str) -> bool:
    """Return whether a field takes whole numbers."""
    return isinstance(SETTINGS.get(name), Whole)


def different_recipes(settings: Mapping[str, Any]) -> float:
    """Return how many different runs there are with the settings of a plan; infinity if a number can be any."""

    def values_of(name: str, value: Any) -> float:
        match value:
            case Between():
                return round(value.high) - round(value.low) + 1 if is_whole(name) else math.inf
            case tuple():
                return len(value)
            case _:
                return 1

    return math.prod(values_of(name, value) for name, value in settings.items())


def _is_above_0(value: Any) -> bool:
    match value:
        case Between():
            return value.low > 0
        case tuple():
            return 0 not in value
        case _:
            return bool(value != 0)


def _draw(name: str, value: Any, chance: random.Random) -> Any:
    match value:
        case Between():
            number = value.draw(chance)
            return round(number) if is_whole(name) else value.rounded(number)
        case tuple():
            return chance.choice(value)
        case _:
            return value


def setting_of(run: Run, name: str) -> Any:
    """Return what a run has for one of `FIELDS`."""
    return run.model if name == "model" else getattr(run.config, name)
