"""Runs as they stand in a list: those with a star first, in the order that a person chose, a sweep in one row."""

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from cnnlab.comparison.labels import labels_of, recipe_in_words
from cnnlab.comparison.outcomes import has_collapsed, outcome
from cnnlab.errors import LabError
from cnnlab.runs.folder import NoSuchRun
from cnnlab.runs.run import Run
from cnnlab.sweeps.sweep import Sweep
from cnnlab.wording import percent, plural


class Order(StrEnum):
    """What comes first in a list of runs."""

    AGE = "age"
    ACCURACY = "accuracy"
    NAME = "name"


@dataclass(frozen=True)
class SweepRow:
    """A row of a list that stands for several runs of a sweep.

    Attributes
    ----------
    sweep
        The sweep.
    runs
        Those of its runs that the list has, the newest first.
    """

    sweep: Sweep
    runs: tuple[Run, ...]

    @property
    def accuracy(self) -> float:
        """The best newest test accuracy of its runs; -1 where none has one."""
        return max(map(_accuracy_of, self.runs))

    @property
    def is_active(self) -> bool:
        """Whether one of its runs waits or trains."""
        return any(_found(lambda run: run.status.is_active, run, False) for run in self.runs)

    def in_words(self) -> str:
        """Return what it came to: "Sweep over learning rate, seed · 9 runs · best 98.30 %"."""
        told = [self.sweep.name, plural(len(self.runs), "run")]
        if (best := self.accuracy) >= 0:
            told.append(f"best {percent(best)}")
        if collapsed := sum(_found(has_collapsed, run, False) for run in self.runs):
            told.append(f"{collapsed} collapsed")
        return " · ".join(told)


Row = TypeVar("Row", Run, Run | SweepRow)
Value = TypeVar("Value")


def rows_of(runs: Sequence[Run], sweeps: Iterable[Sweep]) -> list[Run | SweepRow]:
    """Return the rows of a list of runs: two or more of a sweep stand in one, at the place of the first of them.

    A run with a star has a row of its own as well.
    """
    listed = {run.id: run for run in runs}
    row_with: dict[str, SweepRow] = {}
    for sweep in sweeps:
        own = sorted({run_id for run_id in sweep.run_ids if run_id in listed}, reverse=True)
        if len(own) > 1:
            row_with |= dict.fromkeys(own, SweepRow(sweep, tuple(listed[run_id] for run_id in own)))
    rows: list[Run | SweepRow] = []
    folded = set()
    for run in runs:
        row = row_with.get(run.id)
        if row is None or run.is_starred:
            rows.append(run)
        if row is not None and row.sweep.id not in folded:
            folded.add(row.sweep.id)
            rows.append(row)
    return rows


def in_order(rows: Sequence[Row], order: Order) -> list[Row]:
    """Return the rows of a list in an order: runs with a star first.

    Parameters
    ----------
    rows
        The newest first.
    """
    match order:
        case Order.AGE:
            ordered = list(rows)
        case Order.ACCURACY:
            ordered = sorted(rows, key=_accuracy_of, reverse=True)
        case Order.NAME:
            names = _names_of(rows)
            ordered = [rows[place] for place in sorted(range(len(rows)), key=lambda place: names[place].casefold())]
    return sorted(ordered, key=lambda row: isinstance(row, SweepRow) or not row.is_starred)


def matching_runs(runs: Sequence[Run], search: str) -> list[Run]:
    """Return the runs whose label, recipe, name, identifier, status or note has all words of a search.

    A setting is searched for with its value, as in "seed 1", and a number as a whole: 1 is not found in 10.
    """
    terms = _TERM.findall(_as_told(" ".join(search.split())))
    if not terms:
        return list(runs)
    patterns = [_pattern_of(term) for term in terms]
    found = []
    for run, label in zip(runs, labels_in_list(runs), strict=True):
        with suppress(LabError):
            told = (label, *recipe_in_words(run), run.name, run.id, outcome(run), run.note)
            text = _as_told(" · ".join(told))
            pairs = zip(terms, patterns, strict=True)
            if all(pattern.search(text) or run.id.startswith(term) for term, pattern in pairs):
                found.append(run)
    return found


_TERM = re.compile(
    r"(?:learning rate|batch size|weight decay|seed|momentum) [\d.][^ ]*|\d+ (?:epochs?|threads?|images?)|\S+"
)
_SHORT_FORMS = ((r"\blr (?=[\d.])", "learning rate "), (r"\bbatch (?=\d)", "batch size "), (r"(?<=\d),(?=\d{3})", ""))


def _as_told(text: str) -> str:
    """Return a text in the one form in which settings and numbers are compared."""
    for short, told in _SHORT_FORMS:
        text = re.sub(short, told, text.casefold())
    return text


def _pattern_of(term: str) -> re.Pattern[str]:
    has_number = any(sign.isdigit() for sign in term)
    return re.compile(rf"(?<![\w.]){re.escape(term)}(?![\d.,]*\d)" if has_number else re.escape(term))


def labels_in_list(runs: Sequence[Run]) -> list[str]:
    """Return a label for each run, as `labels_of` does; their identifiers if one was deleted just now."""
    try:
        return labels_of(runs)
    except NoSuchRun:
        return [run.id for run in runs]


def _names_of(rows: Sequence[Run | SweepRow]) -> list[str]:
    labels = iter(labels_in_list([row for row in rows if isinstance(row, Run)]))
    return [row.sweep.name if isinstance(row, SweepRow) else next(labels) for row in rows]


def _accuracy_of(row: Run | SweepRow) -> float:
    """Return a newest test accuracy; -1, which comes last, where there is none or a log cannot be read."""
    if isinstance(row, SweepRow):
        return row.accuracy
    return _found(lambda run: epoch.test_accuracy if (epoch := run.last_epoch()) else -1.0, row, -1.0)


def _found(read: Callable[[Run], Value], run: Run, otherwise: Value) -> Value:
    """Return what is read off a run; something else where it was deleted just now, or is damaged."""
    with suppress(LabError):
        return read(run)
    return otherwise
