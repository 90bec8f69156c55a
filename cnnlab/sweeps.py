"""Many runs that differ in a few settings: all combinations of some values, or random draws.

A sweep is a file in the lab's home that holds its plan and names its runs. These are runs like any other.
"""

import json
import math
import os
import random
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from cnnlab.errors import LabError
from cnnlab.home import home, replacing, writing_to_home
from cnnlab.models import DEFINITIONS, Definition, definition_named
from cnnlab.runs import MAX_NAME_LENGTH, NoSuchRun, Run, all_runs, checked_name, enqueue_all
from cnnlab.seals import sealed, unsealed
from cnnlab.training import TrainingConfig

MOST_RUNS = 10_000
# What a sweep can try: the definition, and every setting of the recipe.
FIELDS = ("model", *(field.name for field in fields(TrainingConfig)))
_WHOLE = {field.name for field in fields(TrainingConfig) if field.type is int}


class InvalidSweep(LabError, ValueError):
    """A plan cannot be carried out."""


class NoSuchSweep(LabError):
    """No sweep has this identifier, or its file cannot be read."""


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

    Raises
    ------
    InvalidSweep
        If a field is unknown, or nothing is to be tried, or a number between two is asked for without drawing.
    """

    settings: Mapping[str, Any]
    draws: int | None = None
    draws_seed: int = 0

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
        if self.draws is not None and not (type(self.draws) is int and 1 <= self.draws <= MOST_RUNS):
            raise InvalidSweep(f"draws is {self.draws!r}; allowed is a whole number from 1 to {MOST_RUNS:,}.")
        if self.count > MOST_RUNS:
            raise InvalidSweep(f"These are {self.count:,} runs; a sweep has at most {MOST_RUNS:,}.")

    def _require_sound(self, name: str, between: Between) -> None:
        if self.draws is None:
            raise InvalidSweep(f"{name} lies between two numbers: say how many runs to draw, or list its values.")
        numbers = (between.low, between.high)
        if not all(type(each) in (int, float) and math.isfinite(each) for each in numbers):
            raise InvalidSweep(f"{name} lies between {between.low!r} and {between.high!r}, which are not two numbers.")
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
        if self.draws is not None:
            return self.draws
        return math.prod(len(value) for value in self.settings.values() if isinstance(value, tuple))

    def recipes(self) -> list[tuple[Definition, TrainingConfig]]:
        """Return the runs to make: all combinations, the last field changing fastest, or the draws.

        Raises
        ------
        InvalidSweep
            If there are not so many different ones to draw.
        UnknownDefinition, InvalidConfig
            If a value is not allowed.
        """
        chosen = self._draws() if self.draws is not None else self._combinations()
        return [_recipe(settings) for settings in chosen]

    def _combinations(self) -> list[dict[str, Any]]:
        values = [value if isinstance(value, tuple) else (value,) for value in self.settings.values()]
        return [dict(zip(self.settings, each, strict=True)) for each in product(*values)]

    def _draws(self) -> list[dict[str, Any]]:
        chance = random.Random(self.draws_seed)
        drawn: dict[str, dict[str, Any]] = {}
        for _ in range(100 * (self.draws or 0)):
            settings = {name: _draw(name, value, chance) for name, value in self.settings.items()}
            drawn.setdefault(repr(settings), settings)
            if len(drawn) == self.draws:
                return list(drawn.values())
        raise InvalidSweep(f"There are fewer than {self.draws:,} different runs to draw: ask for fewer.")


def _draw(name: str, value: Any, chance: random.Random) -> Any:
    match value:
        case Between():
            number = value.draw(chance)
            return round(number) if name in _WHOLE else float(f"{number:.3g}")
        case tuple():
            return chance.choice(value)
        case _:
            return value


def _recipe(settings: Mapping[str, Any]) -> tuple[Definition, TrainingConfig]:
    definition = definition_named(settings.get("model", next(iter(DEFINITIONS))))
    return definition, TrainingConfig(**{name: value for name, value in settings.items() if name != "model"})


def plan_in(content: str) -> tuple[str | None, Plan]:
    """Read a plan that somebody wrote in TOML, and the sweep's name if it has one.

    A list holds values to try; a table with low, high and perhaps log = true numbers to draw between; anything else is
    what all runs share. The table [draws] says how many runs to draw, and with which seed.

    Raises
    ------
    InvalidSweep
        If it cannot be read, or is no plan.
    """
    try:
        read = tomllib.loads(content)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidSweep(f"The plan is not TOML: {error}.") from error
    name = read.pop("name", None)
    draws = read.pop("draws", {})
    if not (name is None or isinstance(name, str)):
        raise InvalidSweep(f"name is {name!r}; it must be a text.")
    if not isinstance(draws, dict) or not draws.keys() <= {"count", "seed"} or (draws and "count" not in draws):
        raise InvalidSweep("[draws] must have a count, can have a seed, and nothing else.")
    if type(draws.get("seed", 0)) is not int:
        raise InvalidSweep(f"The seed of [draws] is {draws['seed']!r}; allowed is a whole number.")
    settings = {field: _values_in(field, value) for field, value in read.items()}
    return name, Plan(settings, draws.get("count"), draws.get("seed", 0))


def _values_in(name: str, value: Any) -> Any:
    match value:
        case dict():
            if not {"low", "high"} <= value.keys() <= {"low", "high", "log"}:
                raise InvalidSweep(f"{name} must have low and high, can have log, and nothing else.")
            return Between(value["low"], value["high"], value.get("log") is True)
        case list():
            return tuple(value)
        case _:
            return value


class Sweep:
    """Runs that were started by one plan.

    Attributes
    ----------
    id
        The identifier. Newer sweeps have greater ones.
    name, plans
        What people call it, and what it tries: the plan that it began with, and those that were added.
    run_ids
        The identifiers of its runs, in the order in which they were queued.

    Raises
    ------
    NoSuchSweep
        If its file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.id = path.stem
        try:
            content = unsealed(json.loads(path.read_text()))
            self.name: str = content["name"]
            self.run_ids: list[str] = content["runs"]
            self.plans = [_plan_from(plan) for plan in content["plans"]]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise NoSuchSweep(f"The sweep {self.id} is damaged: {path} cannot be read.") from error

    @classmethod
    def start(cls, plan: Plan, name: str | None = None) -> "Sweep":
        """Make the runs of a plan, and queue them.

        Raises
        ------
        InvalidSweep, UnknownDefinition, InvalidConfig, InvalidName
            If the plan cannot be carried out, before any run is made.
        HomeError
            If the home cannot be written.
        """
        recipes = plan.recipes()
        name = checked_name(name) if name else _name_of(plan)
        runs = [Run.create(definition, config) for definition, config in recipes]
        path = _folder() / f"{datetime.now(UTC).strftime('%Y%m%d-%H%M%S-%f')}.json"
        with writing_to_home():
            _folder().mkdir(parents=True, exist_ok=True)
        _write(path, name, [plan], [run.id for run in runs])
        enqueue_all(runs)
        return cls(path)

    def recipes_lacking(self, plan: Plan) -> list[tuple[Definition, TrainingConfig]]:
        """Return the runs of a plan that the sweep does not have.

        Raises
        ------
        InvalidSweep, UnknownDefinition, InvalidConfig
            If the plan cannot be carried out.
        """
        had = {(run.model, run.config) for run in self.runs()}
        return [(definition, config) for definition, config in plan.recipes() if (definition.name, config) not in had]

    def add(self, plan: Plan) -> int:
        """Make those runs of a plan that the sweep does not have, queue them, and return how many they are.

        Raises
        ------
        InvalidSweep, UnknownDefinition, InvalidConfig
            If the plan cannot be carried out, before any run is made.
        HomeError
            If the home cannot be written.
        """
        lacking = self.recipes_lacking(plan)
        if len(self.run_ids) + len(lacking) > MOST_RUNS:
            raise InvalidSweep(f"With {len(lacking):,} more runs the sweep has more than {MOST_RUNS:,}.")
        runs = [Run.create(definition, config) for definition, config in lacking]
        self.plans = [*self.plans, plan]
        self.run_ids = [*self.run_ids, *(run.id for run in runs)]
        _write(_folder() / f"{self.id}.json", self.name, self.plans, self.run_ids)
        enqueue_all(runs)
        return len(runs)

    def runs(self) -> list[Run]:
        """Return its runs; those that were deleted are left out."""
        known = {run.id: run for run in all_runs()}
        return [known[run_id] for run_id in self.run_ids if run_id in known]

    @property
    def tried(self) -> list[str]:
        """The fields that differ from run to run."""
        return self._tried_by(self.runs())

    def _tried_by(self, runs: list[Run]) -> list[str]:
        fields = dict.fromkeys(name for plan in self.plans for name in plan.settings)
        return [name for name in fields if len({_setting_of(run, name) for run in runs}) > 1]

    def resume(self) -> int:
        """Queue those of its runs that ended before their last epoch, and return how many."""
        runs = [run for run in self.runs() if run.can_resume]
        enqueue_all(runs)
        return len(runs)

    def table(self) -> pd.DataFrame:
        """Return what came of its runs.

        Returns
        -------
        DataFrame
            A row for each run: run (its identifier), status, a column for each of `tried`, and of its newest epoch
            epoch, train_loss, test_loss and test_accuracy, which are NaN before it has one.
        """
        runs = self.runs()
        tried = self._tried_by(runs)
        rows = []
        for run in runs:
            with suppress(NoSuchRun):
                epoch = run.last_epoch()
                rows.append(
                    {
                        "run": run.id,
                        "status": run.status,
                        **{name: _setting_of(run, name) for name in tried},
                        "epoch": epoch.epoch if epoch else 0,
                        "train_loss": epoch.train_loss if epoch else math.nan,
                        "test_loss": epoch.test_loss if epoch else math.nan,
                        "test_accuracy": epoch.test_accuracy if epoch else math.nan,
                    }
                )
        columns = ["run", "status", *tried, "epoch", "train_loss", "test_loss", "test_accuracy"]
        return pd.DataFrame(rows, columns=columns)


def _write(path: Path, name: str, plans: list[Plan], run_ids: list[str]) -> None:
    content = {"name": name, "plans": [_plan_as_json(plan) for plan in plans], "runs": run_ids}
    with writing_to_home(), replacing(path) as unfinished:
        unfinished.write_text(json.dumps(sealed(content)))


def _setting_of(run: Run, name: str) -> Any:
    return run.model if name == "model" else getattr(run.config, name)


def _name_of(plan: Plan) -> str:
    tried = ", ".join(name.replace("_", " ") for name in plan.tried)
    return f"Sweep over {tried or 'one run'}"[:MAX_NAME_LENGTH]


def find_sweep(sweep_id: str) -> Sweep:
    """Return the sweep with an identifier.

    Raises
    ------
    NoSuchSweep
        If there is none, or its file cannot be read.
    """
    for name in _names():
        if name == f"{sweep_id}.json":
            return Sweep(_folder() / name)
    raise NoSuchSweep(f"There is no sweep {sweep_id[:40]!r} here.")


def all_sweeps() -> list[Sweep]:
    """Return the sweeps in the lab's home, the newest first; damaged ones are left out."""
    sweeps = []
    for name in sorted(_names(), reverse=True):
        with suppress(NoSuchSweep):
            sweeps.append(Sweep(_folder() / name))
    return sweeps


def _folder() -> Path:
    return home() / "sweeps"


def _names() -> list[str]:
    try:
        return [name for name in os.listdir(_folder()) if not name.startswith(".")]
    except OSError:
        return []


def _plan_as_json(plan: Plan) -> dict[str, Any]:
    def value_of(value: Any) -> Any:
        if isinstance(value, Between):
            return {"low": value.low, "high": value.high, "log": value.is_logarithmic}
        return list(value) if isinstance(value, tuple) else value

    settings = {name: value_of(value) for name, value in plan.settings.items()}
    return {"settings": settings, "draws": plan.draws, "draws_seed": plan.draws_seed}


def _plan_from(content: dict[str, Any]) -> Plan:
    settings = {name: _values_in(name, value) for name, value in content["settings"].items()}
    return Plan(settings, content["draws"], content["draws_seed"])
