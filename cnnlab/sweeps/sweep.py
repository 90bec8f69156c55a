"""Many runs that differ in a few settings: all combinations of some values, random draws, or a search for the best.

A sweep is a file in the lab's home that holds its plans and names its runs. These are runs like any other.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd

from cnnlab.errors import LabError
from cnnlab.models.definitions import Definition
from cnnlab.runs.folder import NoSuchRun
from cnnlab.runs.names import MAX_NAME_LENGTH, checked_name
from cnnlab.runs.queue import enqueue_all, waiting_runs
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import all_runs, create_run, delete_run
from cnnlab.storage.home import writing_to_home
from cnnlab.storage.locks import exclusive_lock, try_lock
from cnnlab.sweeps.folder import (
    FORMAT,
    BlockedSweep,
    DamagedSweep,
    NewerSweep,
    NoSuchSweep,
    content_in,
    delete_file,
    lock_path,
    names,
    new_path,
    sweeps_folder,
    write,
)
from cnnlab.sweeps.plan import MOST_RUNS, InvalidSweep, Plan, Search, setting_of
from cnnlab.sweeps.plan_file import plan_as_json, plan_from_json
from cnnlab.training.recipe import TrainingConfig


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
    made_by
        The name of whoever started it; None where nobody said who he is.

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
            content = content_in(self._path, (file := self._path.stat()).st_size, file.st_mtime_ns)
            if content.get("format", 1) not in range(1, FORMAT + 1):
                raise NewerSweep(self._path)
            self.name: str = _text(content["name"])
            self.plans = [plan_from_json(plan) for plan in content["plans"]]
            self.run_ids: list[str] = [_text(run_id) for run_id in content["runs"]]
            self.pruned_ids: list[str] = [_text(run_id) for run_id in content["pruned"]]
            self.is_searching: bool = content["is_searching"]
            self.made_by: str | None = None if content.get("made_by") is None else _text(content["made_by"])
            if not (self.plans and isinstance(self.is_searching, bool)):
                raise ValueError("A sweep has a plan, and searches or not.")
        except NewerSweep:
            raise
        except (FileNotFoundError, IsADirectoryError) as error:
            raise DamagedSweep(self._path) from error
        except OSError as error:
            raise BlockedSweep(self._path, error) from error
        except (LabError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DamagedSweep(self._path) from error

    @classmethod
    def start(cls, plan: Plan, name: str | None = None, made_by: str | None = None) -> "Sweep":
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
        path = new_path()
        content = {
            "format": FORMAT,
            "name": name,
            "plans": [plan_as_json(plan)],
            "runs": [],
            "pruned": [],
            "is_searching": plan.search is not None,
            "made_by": made_by,
        }
        with writing_to_home(), exclusive_lock(lock_path(path.stem)):
            # Before its runs are: one that is cut off here is cleared away at the next start (`settle_sweeps`).
            write(path, content)
            try:
                runs = [] if plan.search else _make_runs(recipes, path.stem, made_by)
                write(path, content | {"runs": [run.id for run in runs]})
            except BaseException:
                path.unlink()
                raise
        enqueue_all(runs)
        return cls(path)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Reload the sweep, let the body change it, and save it, under a lock."""
        with writing_to_home(), exclusive_lock(lock_path(self.id)):
            self._read()
            before = self._content()
            yield
            if self._content() != before:
                write(self._path, self._content())

    def _content(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "name": self.name,
            "plans": [plan_as_json(plan) for plan in self.plans],
            "runs": list(self.run_ids),
            "pruned": list(self.pruned_ids),
            "is_searching": self.is_searching,
            "made_by": self.made_by,
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

    def add(self, plan: Plan, made_by: str | None = None) -> int:
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
        with self.changing():
            lacking = self.recipes_lacking(plan)
            if len(self.run_ids) + len(lacking) > MOST_RUNS:
                raise InvalidSweep(f"With {len(lacking):,} more runs the sweep has more than {MOST_RUNS:,}.")
            runs = _make_runs(lacking, self.id, made_by)
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
            epoch, train_loss, test_loss and test_accuracy, which are NaN before it has one. Where one of them was asked
            about what people drew, pen_accuracy too, and where images are kept for it, validation_accuracy. The status
            of a run that a search has stopped is "pruned".
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
                        "pen_accuracy": epoch.pen_accuracy if epoch else None,
                        "validation_accuracy": epoch.validation_accuracy if epoch else math.nan,
                    }
                )
        columns = ["run", "status", *tried, "epoch", "train_loss", "test_loss", "test_accuracy"]
        if any(row["pen_accuracy"] is not None for row in rows):
            columns.append("pen_accuracy")
        if any(run.config.validation for run in runs):
            columns.append("validation_accuracy")
        return pd.DataFrame(rows, columns=columns)


def delete_sweep(sweep: Sweep) -> None:
    """Forget a sweep: its runs stay, and a search makes no more of them.

    Raises
    ------
    HomeError
        If the home cannot be written.
    """
    delete_file(sweep.id)


def _make_runs(recipes: list[tuple[Definition, TrainingConfig]], sweep_id: str, made_by: str | None) -> list[Run]:
    """Make the runs of a sweep: all of them, or none."""
    runs: list[Run] = []
    try:
        for definition, config in recipes:
            runs.append(create_run(definition, config, sweep_id=sweep_id, snapshots=0, made_by=made_by))
    except BaseException:
        for run in runs:
            with suppress(LabError):
                delete_run(run)
        raise
    return runs


def settle_sweeps() -> None:
    """Bring to an end what a process that was killed had begun: runs without their sweep go, the others are queued."""
    runs_of: dict[str, dict[str, Run]] = {}
    for run in all_runs():
        if run.sweep_id and run.last_event() is None:  # it has never been queued
            runs_of.setdefault(run.sweep_id, {})[run.id] = run
    for sweep in all_sweeps():
        with lock_path(sweep.id).open("a", encoding="utf-8") as lock:
            if not try_lock(lock, 0):
                continue  # another process is about it
            sweep._read()
            runs = runs_of.get(sweep.id, {})
            enqueue_all(runs.pop(run_id) for run_id in sweep.run_ids if run_id in runs)
            for run in runs.values():
                delete_run(run)
            if not (sweep.run_ids or sweep.search):
                sweep._path.unlink()


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
    for name in names():
        if name == f"{sweep_id}.json":
            return Sweep(sweeps_folder() / name)
    raise NoSuchSweep(f"There is no sweep {sweep_id[:40]!r} here.")


def all_sweeps() -> list[Sweep]:
    """Return the sweeps in the lab's home, the newest first; those that cannot be read are left out."""
    return _sweeps()[0]


def unreadable_sweeps() -> list[NoSuchSweep]:
    """Return an error for each sweep that `all_sweeps` leaves out, the newest first."""
    return _sweeps()[1]


def _sweeps() -> tuple[list[Sweep], list[NoSuchSweep]]:
    sweeps, errors = [], []
    for name in sorted(names(), reverse=True):
        try:
            sweeps.append(Sweep(sweeps_folder() / name))
        except NoSuchSweep as error:
            if (sweeps_folder() / name).exists():  # not deleted just now
                errors.append(error)
    return sweeps, errors


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("This must be a text.")
    return value
