"""The runs that a page is about, chosen by the person and kept in the address."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

import streamlit as st

from cnnlab.runs.folder import NoSuchRun
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import all_runs, reference_runs
from cnnlab.ui.frame.wording import as_text

_MOST_SHOWN = 200  # letters of an address that names no run


def runs_and_names() -> tuple[dict[str, Run], dict[str, str]]:
    """Return all runs by their identifiers, the newest first, and what they are called."""
    runs, names = {}, {}
    for run in [*all_runs(), *reference_runs()]:
        with suppress(NoSuchRun):  # deleted from another tab just now
            names[run.id] = run.name
            runs[run.id] = run
    return runs, names


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
