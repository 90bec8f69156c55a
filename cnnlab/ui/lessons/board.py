"""The teacher's board."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from urllib.parse import urlsplit

import segno
import streamlit as st

from cnnlab.errors import LabError
from cnnlab.lessons.class_room import (
    GOOD_ACCURACY,
    answers_table,
    leader_board,
    lesson_of_most,
    places_in,
    predictions_in,
    title_of,
)
from cnnlab.lessons.lesson import Kind, Lesson
from cnnlab.lessons.notebook import all_notebooks
from cnnlab.lessons.reading import figures_in, filled
from cnnlab.runs.folder import NoSuchRun
from cnnlab.runs.log import Status
from cnnlab.runs.shelf import all_runs
from cnnlab.sweeps.sweep import all_sweeps
from cnnlab.ui.frame.actions import attempt, show_error
from cnnlab.ui.frame.download import download_button
from cnnlab.ui.frame.live import live
from cnnlab.ui.frame.page import lab_address
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.tabs import show_tabs
from cnnlab.ui.frame.wording import as_text, csv_of, in_cell
from cnnlab.wording import percent, plural
from cnnlab.workers.scheduler import scheduler

_REFRESH_SECONDS = 2.0


def board_view(lessons: list[Lesson]) -> None:
    """Show a class: where each one is, what was predicted, whose network is the smallest, and how to come in."""
    titles = {lesson.name: lesson.title for lesson in lessons}
    if Key.BOARD_LESSON not in st.session_state:
        st.session_state[Key.BOARD_LESSON] = lesson_of_most(lessons, all_notebooks()).name
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox("Lesson", list(titles), format_func=titles.__getitem__, key=Key.BOARD_LESSON, width=340)
        with st.popover("Stop all", icon=":material/stop:"):
            st.write("Stops every run of everybody, also those that wait. Weights and checkpoints are kept.")
            st.button("Stop all runs", type="primary", on_click=attempt, args=(_stop_all,))
        download_button(
            "Answers (CSV)",
            lambda: csv_of(answers_table(lessons, all_notebooks())).encode("utf-8-sig"),  # which spreadsheets expect
            file_name="answers.csv",
            mime="text/csv",
            icon=":material/download:",
            help="All that everybody has answered, with names.",
        )
        st.button("Close the board", type="tertiary", on_click=st.session_state.pop, args=(Key.IS_TEACHER,))
    show_error()
    lesson = next(each for each in lessons if each.name == name)
    parts: dict[str, Callable[[], None]] = {
        "Where they are": partial(_places, lesson),
        "What they predict": partial(_predictions, lesson),
        "Smallest networks": _leaders,
        "How to come in": _address,
    }
    show_tabs({title: partial(_always_new, part) for title, part in parts.items()}, key=Key.BOARD_PART)


def _always_new(part: Callable[[], None]) -> None:
    live(part, shown=None, now=lambda: None, seconds=_REFRESH_SECONDS)


def _places(lesson: Lesson) -> None:
    places = places_in(lesson, all_notebooks())
    if places.empty:
        st.info("Nobody who has said a name has begun this lesson.")
        return
    to_answer = sum(step.kind is not Kind.READ for step in lesson.steps)
    st.dataframe(
        places.assign(learner=places["learner"].map(in_cell)),
        hide_index=True,
        height="content",
        column_config={
            "learner": "Learner",
            "step": st.column_config.NumberColumn(f"Step of {len(lesson.steps)}"),
            "title": "What it is",
            "answered": st.column_config.ProgressColumn("Answered", format="%d", min_value=0, max_value=to_answer),
        },
    )
    st.caption("Those who have not said a name are not counted.")


def _predictions(lesson: Lesson) -> None:
    titles = {number: title_of(step) for number, step in enumerate(lesson.steps) if step.kind is Kind.PREDICT}
    if not titles:
        st.info("Nothing is predicted in this lesson.")
        return
    number = st.selectbox(
        "Prediction", list(titles), format_func=titles.__getitem__, key=f"{Key.BOARD_PART}_{lesson.name}", width=340
    )
    text = lesson.steps[number].text
    st.markdown(filled(text, dict.fromkeys(figures_in(text), "…")))
    counts = predictions_in(lesson, number, all_notebooks())
    total = int(counts["count"].sum())
    for answer, count in counts.itertuples(index=False):
        is_typed = not lesson.steps[number].choices
        st.progress(count / max(1, total), text=f"{as_text(answer) if is_typed else answer} · **{count}**")
    st.caption(f"{plural(total, 'prediction')} so far.")


def _leaders() -> None:
    leaders = leader_board(all_runs())
    good = f"{100 * GOOD_ACCURACY:.0f} %"
    if not leaders:
        st.info(f"Nobody who has said a name has a network that reads {good} of the test images.")
        return
    st.caption(f"The fewest numbers with which each one's network reads {good} of the test images.")
    st.table(
        {
            "Learner": [as_text(leader.learner) for leader in leaders],
            "Numbers": [f"{leader.numbers:,}" for leader in leaders],
            "Test accuracy": [percent(leader.test_accuracy) for leader in leaders],
            "Run": [as_text(leader.run.name) for leader in leaders],
        }
    )


def _address() -> None:
    address = lab_address()
    if is_this_machine(address):
        st.info(
            "Only this machine can open the lab now: start it with this machine's address in the class room's network, "
            "and open the board under that address. How is in *For a class room* in the lab's guide."
        )
        return
    code = segno.make_qr(address).svg_data_uri(scale=8, light="white")
    st.html(f'<img src="{code}" alt="A QR code of the address" style="width: min(24rem, 80vw)">')
    st.subheader(address, anchor=False)


def is_this_machine(address: str) -> bool:
    """Return whether an address means the machine on which it is opened."""
    host = urlsplit(address).hostname or "localhost"
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


def _stop_all() -> None:
    """Stop what waits, and then what trains; what could not be stopped is tried once more, and told."""
    refusals: list[LabError] = []
    for sweep in all_sweeps():
        if sweep.is_searching:
            _try(sweep.end_search, refusals)
    for _ in range(2):
        refusals.clear()
        for run in sorted(all_runs(), key=lambda run: run.status is not Status.QUEUED):
            _try(partial(scheduler().stop, run), refusals)
    for refusal in refusals:
        raise refusal


def _try(action: Callable[[], None], refusals: list[LabError]) -> None:
    try:
        action()
    except NoSuchRun:  # deleted just now
        pass
    except LabError as refusal:
        refusals.append(refusal)
