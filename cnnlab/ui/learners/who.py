"""Who looks: a name that the browser remembers. There is no password."""

from contextlib import suppress
from urllib.parse import quote, unquote

import streamlit as st

from cnnlab.errors import LabError
from cnnlab.lessons.belongings import delete_belongings
from cnnlab.lessons.notebook import Notebook, is_known, notebook_of
from cnnlab.ui.frame.page import run_script
from cnnlab.ui.frame.session import Key

_COOKIE = "cnnlab_learner"
_YEAR = 365 * 24 * 3600


def notebook() -> Notebook:
    """Return the notebook of whoever looks."""
    if Key.NOTEBOOK not in st.session_state:
        st.session_state[Key.NOTEBOOK] = _remembered_notebook()
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
        If it is no name, or its notebook cannot be read.
    """
    if is_known(name):
        st.session_state[Key.NAME_IN_QUESTION] = notebook_of(name).learner
    else:
        take_name(name)


def take_name(name: str) -> None:
    """Open the notebook of a name; the lessons that were begun before without one go into it.

    Raises
    ------
    LabError
        If it is no name, or its notebook cannot be read.
    """
    found, so_far = notebook_of(name), notebook()
    if not so_far.learner:
        for lesson in so_far.begun.keys() - found.begun.keys():
            found.begun[lesson] = so_far.begun[lesson]
            found.places[lesson] = so_far.places.get(lesson, 0)
            found.answers[lesson] = so_far.answers.get(lesson, {})
    found.keep()
    _look_as(found)


def leave_name() -> None:
    """Close the notebook, and the lesson: the next one at this screen begins with an empty one."""
    _look_as(Notebook())
    st.session_state[Key.LESSON] = None


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
    st.session_state.update({Key.NOTEBOOK: book, Key.NAME_TO_REMEMBER: True, Key.NAME_IN_QUESTION: None, Key.KEPT: []})


def _remembered_notebook() -> Notebook:
    with suppress(LabError):
        name = unquote(st.context.cookies.get(_COOKIE, ""))
        if name and is_known(name):
            return notebook_of(name)
    return Notebook()
