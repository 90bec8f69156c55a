"""The lesson that a learner is in, and what he has done since he began it."""

from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st

from cnnlab.lessons.checks import Situation
from cnnlab.lessons.lesson import Lesson
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import all_runs, reference_runs
from cnnlab.storage.learners import is_same_learner
from cnnlab.ui.draw.canvas import drawing_now
from cnnlab.ui.draw.moving import move_now
from cnnlab.ui.frame.session import Key
from cnnlab.ui.learners.who import learner, notebook

# What Inspect shows, from its own words to those of a lesson's file.
_INSPECTED = {"pen": "people", "What it gets most wrong": "most-wrong", "How sure, how right": "how-sure"}


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


def situation_in(lesson: Lesson, page: str) -> Situation:
    """Return what has been done since a lesson was begun: by whoever looks or, where no name was said, by anybody.

    Parameters
    ----------
    page
        The one that the lesson stands beside.
    """
    begun, name = datetime.fromisoformat(notebook().begun[lesson.name]), learner()
    drawing, move, kept = drawing_now(), move_now(), tuple(st.session_state.get(Key.KEPT, ()))
    place = notebook().places.get(lesson.name)
    if st.session_state.get(Key.LESSON_DRAWING, (None,))[0] != (lesson.name, place):
        st.session_state[Key.LESSON_DRAWING] = ((lesson.name, place), drawing, move, kept)
    _, before, move_before, kept_before = st.session_state[Key.LESSON_DRAWING]
    if not st.session_state.get(Key.LESSON_SOURCE):  # Write had not been opened when the lesson began
        st.session_state[Key.LESSON_SOURCE] = st.session_state.get(Key.SOURCE, "")
    everyones = all_runs()
    answering = st.session_state.get(Key.ANSWERING, ())
    is_drawn = bool(drawing.strokes or drawing.picture)
    # He may have said his name after he had begun.
    own_runs = tuple(
        run
        for run in everyones
        if run.created >= begun
        and not run.fine_tuning  # lessons tell of runs that begin with random weights
        and (None in (name, run.made_by) or is_same_learner(name, run.made_by))
    )
    return Situation(
        runs=own_runs,
        strokes=drawing.strokes,
        strokes_before=before.strokes,
        is_on_picture=drawing.picture is not None,
        has_new_picture=drawing.picture is not None and drawing.picture is not before.picture,
        moved=max(map(abs, move)) if is_drawn and move != move_before else 0,
        kept=tuple(digit for digit in kept if digit not in kept_before),
        answering=tuple(run for run in [*everyones, *reference_runs()] if run.id in answering),
        source=st.session_state.get(Key.SOURCE, ""),
        first_source=st.session_state.get(Key.LESSON_SOURCE, ""),
        step=st.session_state.get(Key.STEP, 0),
        pages=frozenset(st.session_state.get(Key.LESSON_PAGES, ())),
        inspected=_inspected(own_runs) if page == "inspect" else None,
    )


def _inspected(runs: Sequence[Run]) -> frozenset[str] | None:
    """Return what Inspect shows of one of some runs; None if it shows another run."""
    names = [run.id for run in runs]
    if (name := st.session_state.get(Key.INSPECTED)) not in names:
        return None
    shown = st.session_state.get(Key.INSPECTED_SET), st.session_state.get(Key.INSPECTED_PART)
    newest = {"newest"} if name == names[0] else set()
    return frozenset(_INSPECTED[each] for each in shown if each in _INSPECTED) | newest
