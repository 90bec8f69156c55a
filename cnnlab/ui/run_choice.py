"""The runs that a page is about, chosen by the person and kept in the address."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import streamlit as st

from cnnlab.runs import Run
from cnnlab.ui.wording import as_text


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
        if asked is not None and asked != self._kept:
            self.choose(run_id for run_id in asked.split(",") if run_id in runs)
            if gone := [run_id for run_id in asked.split(",") if run_id not in runs]:
                st.warning(f"There is no run {as_text(', '.join(gone))} here. It may have been deleted.")
        elif self.key not in st.session_state and self._kept is None:
            self.choose(default())
        else:
            chosen = st.session_state.get(self.key, (self._kept or "").split(","))
            self.choose(run_id for run_id in chosen if run_id in runs)

    def put_into_address(self) -> None:
        """Let the address name the chosen runs."""
        chosen = ",".join(st.session_state[self.key])
        st.query_params["runs"] = st.session_state[f"{self.key}_in_address"] = chosen

    @property
    def _kept(self) -> str | None:
        return st.session_state.get(f"{self.key}_in_address")
