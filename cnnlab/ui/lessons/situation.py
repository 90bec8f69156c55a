"""The lesson that a learner is in, and what he has done since he began it."""

from datetime import UTC, datetime

import streamlit as st

from cnnlab.lessons.checks import Situation
from cnnlab.lessons.lesson import Lesson
from cnnlab.runs.shelf import all_runs
from cnnlab.storage.learners import is_same_learner
from cnnlab.ui.draw.canvas import drawing_now
from cnnlab.ui.frame.session import Key
from cnnlab.ui.learners.who import learner, notebook


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
    """Return what has been done since a lesson was begun: by whoever looks or, where no name was said, by anybody."""
    begun, name = datetime.fromisoformat(notebook().begun[lesson.name]), learner()
    drawing = drawing_now()
    place = notebook().places.get(lesson.name)
    if st.session_state.get(Key.LESSON_DRAWING, (None,))[0] != (lesson.name, place):
        st.session_state[Key.LESSON_DRAWING] = ((lesson.name, place), drawing)
    before = st.session_state[Key.LESSON_DRAWING][1]
    if not st.session_state.get(Key.LESSON_SOURCE):  # Write had not been opened when the lesson began
        st.session_state[Key.LESSON_SOURCE] = st.session_state.get(Key.SOURCE, "")
    return Situation(
        # He may have said his name after he had begun.
        runs=tuple(
            run
            for run in all_runs()
            if run.created >= begun and (None in (name, run.made_by) or is_same_learner(name, run.made_by))
        ),
        strokes=sum(stroke not in before.strokes for stroke in drawing.strokes)
        + (drawing.picture is not None and drawing.picture is not before.picture),
        source=st.session_state.get(Key.SOURCE, ""),
        first_source=st.session_state.get(Key.LESSON_SOURCE, ""),
        step=st.session_state.get(Key.STEP, 0),
        pages=frozenset(st.session_state.get(Key.LESSON_PAGES, ())),
    )
