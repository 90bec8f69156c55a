"""The runs that a page is about, chosen by the person and kept in the address."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

import streamlit as st

from cnnlab.comparison.labels import labels_of
from cnnlab.comparison.listing import SweepRow, in_order, rows_of
from cnnlab.comparison.outcomes import outcome
from cnnlab.runs.folder import DamagedRun, NoSuchRun
from cnnlab.runs.log import Status
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import all_runs, reference_runs
from cnnlab.sweeps.sweep import all_sweeps
from cnnlab.ui.frame.wording import as_text
from cnnlab.ui.learners.whose import listed
from cnnlab.ui.train.list import chosen_order
from cnnlab.wording import percent

_STAR = "★ "
_MOST_SHOWN = 200  # letters of an address that names no run


def runs_and_names() -> tuple[dict[str, Run], dict[str, str]]:
    """Return the runs that are listed, or named in the address, by their identifiers, the newest first.

    With them comes what a list to pick from calls each of them, in the order of that list: runs with a star first, in
    the order that was chosen on Train; runs of sweeps, of which there are many, behind all others.

    A run is called by its label, what came of it and when it was made, "Sequential · lr 0.003 · 96.11 % · 27 Nov
    06:59", which changes with the run alone: the browser sends back what it was given.
    """
    while True:
        asked = {*st.query_params.get("runs", "").split(","), st.query_params.get("run")}
        everyones = all_runs()
        asked |= {run.id for run in listed(everyones)}
        runs = [*(run for run in everyones if run.id in asked), *reference_runs()]
        with suppress(NoSuchRun):  # deleted from another tab just now: look again
            labels = dict(zip([run.id for run in runs], labels_of(runs), strict=True))
            names = {run.id: _called(run, labels[run.id]) for run in _to_pick_from(runs)}
            return {run.id: run for run in runs}, names


def _to_pick_from(runs: list[Run]) -> list[Run]:
    """Return runs in the order of a list to pick from."""
    rows = in_order(rows_of(runs, all_sweeps()), chosen_order())
    of_sweeps = [run for row in rows if isinstance(row, SweepRow) for run in in_order(row.runs, chosen_order())]
    return [*(row for row in rows if isinstance(row, Run)), *of_sweeps]


def _called(run: Run, label: str) -> str:
    return f"{_STAR if run.is_starred else ''}{label} · {_result_of(run)}"


def _result_of(run: Run) -> str:
    """Return what came of a run that has ended, and when it was made."""
    made = "ships with the lab" if run.is_reference else f"{run.created.astimezone(_time_zone()):%-d %b %H:%M}"
    try:
        epoch, came_to = run.last_epoch(), outcome(run)
    except (NoSuchRun, DamagedRun):
        return made
    parts = [] if came_to == Status.FINISHED else [came_to]
    if epoch and not run.status.is_active:
        parts.append(percent(epoch.test_accuracy))
    return " · ".join([*parts, made])


def _time_zone() -> tzinfo:
    """Return the time zone of whoever looks."""
    with suppress(Exception):  # a browser may name one that this machine does not know
        return ZoneInfo(st.context.timezone or "UTC")
    return UTC


@dataclass(frozen=True)
class RunChoice:
    """The runs that are chosen on a page.

    Attributes
    ----------
    key
        Of the widget that chooses them; also what the choice is kept under.
    most
        How many can be chosen.
    """

    key: str
    most: int

    def choose(self, run_ids: Iterable[str]) -> None:
        """Choose these."""
        st.session_state[self.key] = list(run_ids)[: self.most]

    def take_from_address(self, runs: dict[str, Run], default: Callable[[], Iterable[str]]) -> None:
        """Choose what a new address names, else what was chosen last, else the default."""
        asked = st.query_params.get("runs")
        if asked is not None and (asked != self._kept or self.key not in st.session_state):
            ids = list(dict.fromkeys(filter(None, asked.split(","))))
            there = [run_id for run_id in ids if run_id in runs]
            self.choose(there)
            if gone := [run_id for run_id in ids if run_id not in runs]:
                named = ", ".join(gone)[:_MOST_SHOWN]
                st.warning(f"There is no run {as_text(named)} here. It may have been deleted.")
            if len(there) > self.most:
                st.warning(f"The address names {len(there)} runs; the first {self.most} are taken.")
        elif self.key not in st.session_state and self._kept is None:
            self.choose(default())
        else:
            chosen = st.session_state.get(self.key, (self._kept or "").split(","))
            self.choose(run_id for run_id in chosen if run_id in runs)

    def put_into_address(self) -> None:
        """Let the address name the chosen runs."""
        st.query_params.update(self.address)
        st.session_state[f"{self.key}_in_address"] = self.address["runs"]

    @property
    def address(self) -> dict[str, str]:
        """The query parameters that name the chosen runs."""
        return {"runs": ",".join(st.session_state[self.key])}

    @property
    def _kept(self) -> str | None:
        return st.session_state.get(f"{self.key}_in_address")
