"""Who learns here, and what is known of what he has done."""

from datetime import UTC, datetime

import streamlit as st

from cnnlab.lessons.checks import Situation
from cnnlab.lessons.lesson import Lesson
from cnnlab.lessons.notebook import Notebook, forget, notebook_of
from cnnlab.runs.shelf import all_runs
from cnnlab.ui.draw.canvas import drawing_now
from cnnlab.ui.frame.session import Key


def notebook() -> Notebook:
    """Return the notebook of whoever looks."""
    return st.session_state.setdefault(Key.NOTEBOOK, Notebook())


def name_learner(name: str) -> None:
    """Take somebody's name: his notebook is opened, or what he has done so far becomes it.

    Raises
    ------
    LabError
        If it is no name, or its notebook cannot be read.
    """
    found, so_far = notebook_of(name), notebook()
    if not found.begun and not so_far.learner:
        found = Notebook(found.learner, so_far.answers, so_far.begun, so_far.places)
        found.keep()
    st.session_state[Key.NOTEBOOK] = found


def forget_learner() -> None:
    """Delete all that is kept under the learner's name, and close the notebook."""
    forget(notebook().learner)
    leave_learner()


def leave_learner() -> None:
    """Close the notebook: the next one at this screen begins with an empty one."""
    st.session_state[Key.NOTEBOOK] = Notebook()
    leave_lesson()


def begin_lesson(lesson: Lesson, step: int | None = None, *, again: bool = False) -> None:
    """Open a lesson beside the pages, at a step or where it was left."""
    notebook().begin(lesson.name, datetime.now(UTC).isoformat(), again=again)
    if step is not None:
        notebook().turn_to(lesson.name, step)
    st.session_state.update(
        {Key.LESSON: lesson.name, Key.LESSON_PAGES: set(), Key.LESSON_SOURCE: st.session_state.get(Key.SOURCE, "")}
    )


def leave_lesson() -> None:
    """Close the lesson; what was answered is kept."""
    st.session_state[Key.LESSON] = None


def situation_in(lesson: Lesson) -> Situation:
    """Return what has been done since a lesson was begun."""
    begun = datetime.fromisoformat(notebook().begun[lesson.name])
    drawing = drawing_now()
    if not st.session_state.get(Key.LESSON_SOURCE):  # Write had not been opened when the lesson began
        st.session_state[Key.LESSON_SOURCE] = st.session_state.get(Key.SOURCE, "")
    return Situation(
        runs=tuple(run for run in all_runs() if run.created >= begun),
        strokes=len(drawing.strokes) + (drawing.picture is not None),
        source=st.session_state.get(Key.SOURCE, ""),
        first_source=st.session_state.get(Key.LESSON_SOURCE, ""),
        step=st.session_state.get(Key.STEP, 0),
        pages=frozenset(st.session_state.get(Key.LESSON_PAGES, ())),
    )
