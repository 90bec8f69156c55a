"""Who looks: a name that the browser remembers. There is no password."""

from urllib.parse import quote, unquote

import streamlit as st

from cnnlab.errors import LabError
from cnnlab.lessons.belongings import delete_belongings
from cnnlab.lessons.notebook import KnownLearner, Notebook, is_known, notebook_of, take_name
from cnnlab.storage.learners import InvalidLearner
from cnnlab.ui.frame.page import run_script
from cnnlab.ui.frame.session import Key

_COOKIE = "cnnlab_learner"
_YEAR = 365 * 24 * 3600


def notebook() -> Notebook:
    """Return the notebook of whoever looks; without a name, if his was deleted in another tab."""
    if Key.NOTEBOOK not in st.session_state:
        st.session_state[Key.NOTEBOOK] = _remembered_notebook()
    elif st.session_state[Key.NOTEBOOK].is_forgotten:
        leave_name()
    book: Notebook = st.session_state[Key.NOTEBOOK]
    return book


def learner() -> str | None:
    """Return the name of whoever looks, or None if he has not said it."""
    return notebook().learner or None


def say_name(name: str) -> None:
    """Take somebody's name; where somebody of that name has been here, ask first whether he is the same.

    Raises
    ------
    LabError
        If it is no name, or the home cannot be written.
    """
    try:
        _look_as(take_name(name, notebook(), is_new=True))
    except KnownLearner:
        st.session_state[Key.NAME_IN_QUESTION] = notebook_of(name).learner


def take_known_name() -> None:
    """Take the name that was asked about.

    Raises
    ------
    LabError
        If its notebook cannot be read, or the home cannot be written.
    """
    _look_as(take_name(st.session_state[Key.NAME_IN_QUESTION], notebook(), is_new=False))


def leave_name() -> None:
    """Forget whoever looked, and all that he had before him on this screen: the next one begins with an empty one."""
    for key in set(st.session_state) - {Key.VIEWER, Key.SCRIPTS, Key.PROJECTION}:
        del st.session_state[key]
    _look_as(Notebook())


def delete_name() -> None:
    """Delete all that belongs to the name, and close the notebook.

    Raises
    ------
    LabError
        If it cannot be deleted, or a run of his trains.
    """
    delete_belongings(notebook().learner)
    leave_name()


def tell_browser() -> None:
    """Let the browser remember a name that was just said, or forget one that was left."""
    if st.session_state.pop(Key.NAME_TO_REMEMBER, False):
        kept_for = _YEAR if learner() else 0
        cookie = f"{_COOKIE}={quote(learner() or '', safe='')}; path=/; max-age={kept_for}; samesite=strict"
        run_script(f'document.cookie = "{cookie}";')


def _look_as(book: Notebook) -> None:
    st.session_state.update({Key.NOTEBOOK: book, Key.NAME_TO_REMEMBER: True, Key.NAME_IN_QUESTION: None})
    st.session_state.pop(Key.KEPT, None)


def _remembered_notebook() -> Notebook:
    try:
        name = unquote(st.context.cookies.get(_COOKIE, ""))
        if name and is_known(name):
            return notebook_of(name)
    except InvalidLearner:
        pass
    except LabError as error:
        st.session_state[Key.RUN_ERROR] = str(error)
    return Notebook()
