"""What buttons do."""

from collections.abc import Callable

import streamlit as st

from cnnlab.errors import LabError


def attempt(action: Callable[..., None], *arguments: object) -> None:
    """Act for a button; what goes wrong is shown above the runs."""
    try:
        action(*arguments)
    except LabError as error:
        st.session_state["run_error"] = str(error)
