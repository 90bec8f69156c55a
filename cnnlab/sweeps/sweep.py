"""Many runs that differ in a few settings: all combinations of some values, random draws, or a search for the best.

A sweep is a file in the lab's home that holds its plans and names its runs. These are runs like any other.
"""

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from cnnlab.errors import LabError
from cnnlab.models.definitions import Definition
from cnnlab.runs.folder import NoSuchRun
from cnnlab.runs.names import MAX_NAME_LENGTH, checked_name
from cnnlab.runs.queue import enqueue_all, waiting_runs
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import all_runs, create_run
from cnnlab.storage.checksums import sealed, unsealed
from cnnlab.storage.files import identifier_after, replacing
from cnnlab.storage.home import home, writing_to_home
from cnnlab.storage.locks import exclusive_lock
from cnnlab.sweeps.plan import MOST_RUNS, InvalidSweep, Plan, Search, setting_of
from cnnlab.sweeps.plan_file import plan_as_json, plan_from_json
from cnnlab.training.recipe import TrainingConfig


class NoSuchSweep(LabError):
    """No sweep has this identifier, or its file cannot be read."""


class NotAllResumed(LabError):
    """Some runs of a sweep cannot go on; the others do."""


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
            self.plans = [plan_from_json(plan) for plan in content["plans"]]
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
            "plans": [plan_as_json(plan)],
            "runs": [run.id for run in runs],
            "pruned": [],
            "is_searching": plan.search is not None,
        }
        _write(path, content)
        enqueue_all(runs)
        return cls(path)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Reload the sweep, let the body change it, and save it, under a lock."""
        with writing_to_home(), exclusive_lock(_lock_path(self.id)):
            self._read()
            before = self._content()
            yield
            if self._content() != before:
                _write(self._path, self._content())

    def _content(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "plans": [plan_as_json(plan) for plan in self.plans],
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
    return unsealed(json.loads(path.read_text(encoding="utf-8")))


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
        unfinished.write_text(json.dumps(sealed(content)), encoding="utf-8")


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
