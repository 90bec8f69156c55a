"""Choose a lesson, and say who you are."""

from cnnlab.workers.child import start_first_worker

start_first_worker()  # before what takes a while to import

import streamlit as st

from cnnlab.lessons.lesson import Lesson
from cnnlab.lessons.shelf import all_lessons
from cnnlab.storage.learners import LONGEST_LEARNER
from cnnlab.ui.frame.actions import attempt, show_error
from cnnlab.ui.frame.page import begin_page, is_board_key
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.wording import as_text
from cnnlab.ui.learners.who import delete_name, leave_name, notebook, say_name, take_known_name, tell_browser
from cnnlab.ui.lessons.board import board_view
from cnnlab.ui.lessons.panel import lesson_panel
from cnnlab.ui.lessons.situation import begin_lesson
from cnnlab.wording import plural


def open_from_address(lessons: list[Lesson]) -> None:
    """Open the lesson, and the step, that the address names."""
    asked, step = st.query_params.get("lesson"), st.query_params.get("step", "")
    lesson = next((each for each in lessons if each.name == asked), None)
    st.query_params.clear()
    if lesson:
        place = min(len(lesson.steps), max(1, int(step))) - 1 if step.isascii() and step.isdecimal() else None
        attempt(begin_lesson, lesson, place)
    elif asked:
        st.warning(f"There is no lesson {as_text(asked[:40])} here.")


def lesson_card(number: int, lesson: Lesson) -> None:
    book = notebook()
    done = len(book.answers.get(lesson.name, {}))
    to_answer = sum(step.kind != "Read" for step in lesson.steps)
    is_begun = lesson.name in book.begun
    is_done = done == to_answer
    is_on = st.session_state.get(Key.LESSON) == lesson.name and not is_done
    with st.container(border=True, key=f"lesson_card_{lesson.name}"):
        st.markdown(f"**{number} · {as_text(lesson.title)}** · {lesson.minutes} min")
        st.markdown(as_text(lesson.about))
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                "It is on" if is_on else "Look again" if is_done else "Go on" if is_begun else "Begin",
                key=f"begin_{lesson.name}",
                type="secondary" if is_begun else "primary",
                disabled=is_on,
                on_click=attempt,
                args=(begin_lesson, lesson),
            )
            if is_begun:
                st.caption(f"{done} of {plural(to_answer, 'task')} done")


def learner_row() -> None:
    """Let somebody say who he is, so that what he does is there again tomorrow."""
    learner, in_question = notebook().learner, st.session_state.get(Key.NAME_IN_QUESTION)
    is_asked = not (learner or in_question)
    with st.container(horizontal=True, vertical_alignment="bottom" if is_asked else "center", key="learner"):
        if learner:
            st.markdown(f"You are **{as_text(learner)}**. What you answer, draw, write and train is yours.")
            st.button("I am somebody else", type="tertiary", on_click=leave_name)
            with st.popover("Delete", icon=":material/delete:"):
                st.write(
                    f"All that belongs to **{as_text(learner)}** will be gone for good: answers, drawings, networks, "
                    "runs and sweeps."
                )
                st.button("Delete it for good", type="primary", on_click=attempt, args=(delete_name,))
        elif in_question:
            st.markdown(f"Somebody called **{as_text(in_question)}** has been here. Was it you?")
            st.button("It was me", type="primary", on_click=attempt, args=(take_known_name,))
            st.button("No: I take another name", on_click=ask_again)
        else:
            st.text_input(
                "Your name",
                max_chars=LONGEST_LEARNER,
                key=Key.NAME_TYPED,
                width=240,
                help="What you answer, draw, write and train is kept in the lab's home under it, and this browser "
                "remembers it. There is no password: whoever gives the same name sees the same.",
            )
            st.button("That is me", on_click=take_typed_name)
            st.caption("Without a name, your answers are forgotten when you close this tab. There is no password.")
    tell_browser()


def take_typed_name() -> None:
    attempt(say_name, st.session_state[Key.NAME_TYPED])


def ask_again() -> None:
    st.session_state[Key.NAME_IN_QUESTION] = None


begin_page("Lessons")
lessons, mistakes = all_lessons()
if key := st.query_params.get("board"):
    st.query_params.clear()  # those who see the board on the wall need not see its key
    st.session_state[Key.IS_TEACHER] = is_board_key(key)
    if not is_board_key(key):
        st.warning("There is no such board. Its address stands in the terminal in which the lab was started.")
if st.session_state.get(Key.IS_TEACHER):
    board_view(lessons)
    st.stop()
open_from_address(lessons)
lesson_panel("lessons")
st.markdown(
    "Predict, then do it with the real thing, then see why. A lesson stands beside the pages on which it is done. "
    "*The tutorial* is the text that CNN Lab is built around: one network of two convolutions and two linear layers, "
    "written in two ways, and trained on MNIST for ten epochs."
)
show_error()
learner_row()
for mistake in mistakes:
    st.error(as_text(str(mistake)))
for place in range(0, len(lessons), 2):  # on a phone, where columns stand below each other, the order stays
    for number, (column, lesson) in enumerate(
        zip(st.columns(2, gap="medium"), lessons[place : place + 2], strict=False), start=place + 1
    ):
        with column:
            lesson_card(number, lesson)
