"""What buttons do, and where the page says what went wrong."""

from collections.abc import Callable

import streamlit as st

from cnnlab.errors import LabError
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.wording import as_text


def attempt(action: Callable[..., object], *arguments: object, error_key: Key = Key.RUN_ERROR) -> None:
    """Act for a button. What goes wrong is kept until `show_error` is called with the same key."""
    succeeds(action, *arguments, error_key=error_key)


def succeeds(action: Callable[..., object], *arguments: object, error_key: Key = Key.RUN_ERROR) -> bool:
    """Act as `attempt` does, and return whether it went well."""
    try:
        action(*arguments)
    except LabError as error:
        st.session_state[error_key] = str(error)
        return False
    return True


def show_error(key: Key = Key.RUN_ERROR) -> None:
    """Show, once, what went wrong with the last action."""
    if error := st.session_state.pop(key, None):
        st.error(as_text(error))
