"""What buttons do, and how a page is run again."""

from collections.abc import Callable
from typing import NoReturn

import streamlit as st

from cnnlab.errors import LabError
from cnnlab.runs.run import Run


def show_again(run: Run) -> NoReturn:
    """Run the page anew for the run it shows; for the timed parts of a page, when what stands around them is old.

    A timed part runs with the address that the browser had when it asked for it, and that may be another run's: a page
    that has just turned to a new run would turn back.
    """
    st.query_params["run"] = run.id
    st.rerun()


def attempt(action: Callable[..., None], *arguments: object) -> None:
    """Act for a button; what goes wrong is shown above the runs."""
    try:
        action(*arguments)
    except LabError as error:
        st.session_state["run_error"] = str(error)
