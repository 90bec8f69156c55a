"""Many runs that differ in a few settings: all combinations of some values, random draws, or a search for the best.

A sweep is a file in the lab's home that holds its plans and names its runs. These are runs like any other.
"""

import json
import math
import os
import random
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from cnnlab.errors import LabError
from cnnlab.models.definitions import DEFINITIONS, Definition, definition_named
from cnnlab.runs.folder import NoSuchRun
from cnnlab.runs.names import MAX_NAME_LENGTH, checked_name
from cnnlab.runs.queue import enqueue_all, waiting_runs
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import all_runs, create_run
from cnnlab.storage.checksums import sealed, unsealed
from cnnlab.storage.files import identifier_after, replacing
from cnnlab.storage.home import home, writing_to_home
from cnnlab.storage.locks import alone
from cnnlab.training.recipe import TrainingConfig

MOST_RUNS = 10_000
# What a sweep can try: the definition, and every setting of the recipe.
FIELDS = ("model", *(field.name for field in fields(TrainingConfig)))
SAMPLERS = ("tpe", "random")
# Of the training images: what a search chooses by, where its plan does not say how many.
_VALIDATION = 10_000
_GREATEST = 10**12
_WHOLE = {field.name for field in fields(TrainingConfig) if field.type is int}


class InvalidSweep(LabError, ValueError):
    """A plan cannot be carried out."""


class NoSuchSweep(LabError):
    """No sweep has this identifier, or its file cannot be read."""


class NotAllResumed(LabError):
    """Some runs of a sweep cannot go on; the others do."""


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
    """How a sweep looks for the best settings, by the accuracy on images that are not trained on; see `cnnlab.search`.

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
        definition = definition_named(settings.get("model", next(iter(DEFINITIONS))))
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
    return name in _WHOLE


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


def plan_in(content: str) -> tuple[str | None, Plan]:
    """Read a plan that somebody wrote in TOML, and the sweep's name if it has one.

    A list holds values to try; a table with low, high and perhaps log = true numbers to draw between; anything else is
    what all runs share. The table [draws] says how many runs to draw, and with which seed; the table [search] has the
    fields of `Search`.

    Raises
    ------
    InvalidSweep
        If it cannot be read, or is no plan.
    """
    try:
        read = tomllib.loads(content)
    except (ValueError, RecursionError) as error:  # ValueError: a number of thousands of digits is one
        raise InvalidSweep(f"The plan is not TOML: {error}.") from error
    name = read.pop("name", None)
    draws, search = read.pop("draws", {}), read.pop("search", None)
    if not (name is None or isinstance(name, str)):
        raise InvalidSweep(f"name is {name!r}; it must be a text.")
    if not isinstance(draws, dict) or not draws.keys() <= {"count", "seed"} or (draws and "count" not in draws):
        raise InvalidSweep("[draws] must have a count, can have a seed, and nothing else.")
    if type(draws.get("seed", 0)) is not int:
        raise InvalidSweep(f"The seed of [draws] is {draws['seed']!r}; allowed is a whole number.")
    names = [field.name for field in fields(Search)]
    if search is not None and not (isinstance(search, dict) and "runs" in search and search.keys() <= set(names)):
        raise InvalidSweep(f"[search] must have runs, can have {', '.join(names[1:])}, and nothing else.")
    settings = {field: _values_in(field, value) for field, value in read.items()}
    return name, Plan(settings, draws.get("count"), draws.get("seed", 0), Search(**search) if search else None)


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
    pruned_ids
        Of these, the runs that a search has stopped since others did better.
    is_searching
        Whether a search makes further runs, or stops some.

    Raises
    ------
    NoSuchSweep
        If its file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.id = path.stem
        self._path = path
        self._read()

    def _read(self) -> None:
        try:
            content = _content_in(self._path, (file := self._path.stat()).st_size, file.st_mtime_ns)
            self.name: str = content["name"]
            self.plans = [_plan_from(plan) for plan in content["plans"]]
            self.run_ids: list[str] = list(content["runs"])
            self.pruned_ids: list[str] = list(content["pruned"])
            self.is_searching: bool = content["is_searching"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise NoSuchSweep(f"The sweep {self.id} is damaged: {self._path} cannot be read.") from error

    @classmethod
    def start(cls, plan: Plan, name: str | None = None) -> "Sweep":
        """Make the runs of a plan, and queue them; or begin its search.

        Raises
        ------
        InvalidSweep, UnknownDefinition, InvalidConfig, InvalidName
            If the plan cannot be carried out, before any run is made.
        HomeError
            If the home cannot be written.
        """
        recipes = plan.recipes()
        name = checked_name(name) if name else _name_of(plan)
        runs = [] if plan.search else [create_run(definition, config) for definition, config in recipes]
        path = _new_path()
        content = {
            "name": name,
            "plans": [_plan_as_json(plan)],
            "runs": [run.id for run in runs],
            "pruned": [],
            "is_searching": plan.search is not None,
        }
        _write(path, content)
        enqueue_all(runs)
        return cls(path)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Read the sweep anew, let the body change it, and write it; no other process does so meanwhile."""
        with writing_to_home(), alone(_lock_path(self.id)):
            self._read()
            before = self._content()
            yield
            if self._content() != before:
                _write(self._path, self._content())

    def _content(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "plans": [_plan_as_json(plan) for plan in self.plans],
            "runs": list(self.run_ids),
            "pruned": list(self.pruned_ids),
            "is_searching": self.is_searching,
        }

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
        if plan.search or self.search:
            raise InvalidSweep("A search decides itself which runs it makes: start another sweep.")
        lacking = self.recipes_lacking(plan)
        if len(self.run_ids) + len(lacking) > MOST_RUNS:
            raise InvalidSweep(f"With {len(lacking):,} more runs the sweep has more than {MOST_RUNS:,}.")
        runs = [create_run(definition, config) for definition, config in lacking]
        with self.changing():
            self.plans.append(plan)
            self.run_ids += [run.id for run in runs]
        enqueue_all(runs)
        return len(runs)

    @property
    def search(self) -> Search | None:
        """How it looks for the best settings; None if it has made all its runs at once."""
        return self.plans[0].search

    @property
    def count(self) -> int:
        """How many runs it has, or will have made when its search has ended."""
        return max(len(self.run_ids), self.search.runs) if self.search and self.is_searching else len(self.run_ids)

    def end_search(self) -> None:
        """Have a search make no further runs."""
        if self.is_searching:
            with self.changing():
                self.is_searching = False

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
        return [name for name in fields if len({setting_of(run, name) for run in runs}) > 1]

    def resume(self) -> int:
        """Queue those of its runs that ended before their last epoch, save pruned ones, and return how many.

        A search goes on.

        Raises
        ------
        NotAllResumed
            If some cannot go on, when all others are queued.
        HomeError
            If the home cannot be written.
        """
        runs = [run for run in self.runs() if run.can_resume and run.id not in self.pruned_ids]
        if self.search and (runs or len(self.run_ids) < self.search.runs):
            with self.changing():
                self.is_searching = True
        if refusals := enqueue_all(runs):
            raise NotAllResumed(f"{len(refusals):,} of {len(runs):,} runs cannot go on. {refusals[0]}")
        return len(runs)

    @property
    def can_resume(self) -> bool:
        """Whether `resume` would make anything train."""
        lacks_runs = self.search is not None and not self.is_searching and len(self.run_ids) < self.search.runs
        return lacks_runs or any(run.can_resume and run.id not in self.pruned_ids for run in self.runs())

    def table(self) -> pd.DataFrame:
        """Return what came of its runs.

        Returns
        -------
        DataFrame
            A row for each run: run (its identifier), status, a column for each of `tried`, and of its newest epoch
            epoch, train_loss, test_loss and test_accuracy, which are NaN before it has one. Where images are kept for
            it, validation_accuracy too. The status of a run that a search has stopped is "pruned".
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
                        "status": "pruned" if run.id in self.pruned_ids and not run.status.is_active else run.status,
                        **{name: setting_of(run, name) for name in tried},
                        "epoch": epoch.epoch if epoch else 0,
                        "train_loss": epoch.train_loss if epoch else math.nan,
                        "test_loss": epoch.test_loss if epoch else math.nan,
                        "test_accuracy": epoch.test_accuracy if epoch else math.nan,
                        "validation_accuracy": epoch.validation_accuracy if epoch else math.nan,
                    }
                )
        columns = ["run", "status", *tried, "epoch", "train_loss", "test_loss", "test_accuracy"]
        if any(run.config.validation for run in runs):
            columns.append("validation_accuracy")
        return pd.DataFrame(rows, columns=columns)


@lru_cache(maxsize=256)
def _content_in(path: Path, _size: int, _modified: int) -> dict[str, Any]:
    return unsealed(json.loads(path.read_text()))


def _new_path() -> Path:
    """Return where a new sweep's file goes: nobody else is given the same place."""
    with writing_to_home():
        _folder().mkdir(parents=True, exist_ok=True)
        while True:
            identifier = identifier_after(name.removesuffix(".json") for name in _names())
            with suppress(FileExistsError):
                _lock_path(identifier).touch(exist_ok=False)
                return _folder() / f"{identifier}.json"


def _lock_path(sweep_id: str) -> Path:
    return _folder() / f".{sweep_id}.lock"


def _write(path: Path, content: dict[str, Any]) -> None:
    with writing_to_home(), replacing(path) as unfinished:
        unfinished.write_text(json.dumps(sealed(content)))


def setting_of(run: Run, name: str) -> Any:
    """Return what a run has for one of `FIELDS`."""
    return run.model if name == "model" else getattr(run.config, name)


def _name_of(plan: Plan) -> str:
    tried = ", ".join(name.replace("_", " ") for name in plan.tried)
    kind = "Search" if plan.search else "Sweep"
    return f"{kind} over {tried or 'one run'}"[:MAX_NAME_LENGTH]


def waiting_runs_of(sweep_id: str | None) -> list[Run]:
    """Return those runs of the queue that are a sweep's; all of them for None.

    Raises
    ------
    NoSuchSweep
        If the sweep is not there, or its file cannot be read.
    """
    if sweep_id is None:
        return waiting_runs()
    own = set(find_sweep(sweep_id).run_ids)
    return [run for run in waiting_runs() if run.id in own]


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
    search = asdict(plan.search) if plan.search else None
    return {"settings": settings, "draws": plan.draws, "draws_seed": plan.draws_seed, "search": search}


def _plan_from(content: dict[str, Any]) -> Plan:
    settings = {name: _values_in(name, value) for name, value in content["settings"].items()}
    search = Search(**content["search"]) if content["search"] else None
    return Plan(settings, content["draws"], content["draws_seed"], search)
