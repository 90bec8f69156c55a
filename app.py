"""The landing page: draw a digit, and see what the lab is; what trains now, and where to go."""

from cnnlab.workers.child import start_first_worker

start_first_worker()  # before what takes a while to import

from contextlib import suppress

import streamlit as st

from cnnlab.comparison.listing import SweepRow, rows_of
from cnnlab.drawing.preparation import prepare
from cnnlab.runs.folder import DRAWING_RUN, NoSuchRun
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import all_runs, find_run, reference_runs
from cnnlab.sweeps.sweep import all_sweeps
from cnnlab.ui.answers.bars import answers_view
from cnnlab.ui.draw.canvas import SHOWN_SIDE, canvas, canvas_tools
from cnnlab.ui.draw.pen import live_pen
from cnnlab.ui.frame.live import live
from cnnlab.ui.frame.page import begin_page
from cnnlab.ui.learners.whose import listed, whose_switch
from cnnlab.ui.lessons.panel import lesson_panel
from cnnlab.ui.train.list import row_links

NEWEST_SHOWN = 4
REFRESH_SECONDS = 1.0
STEPS = (
    ("pages/write.py", "Write it", ":material/edit_note:", "the network, as a list and as a class"),
    (
        "pages/train.py",
        "Train it",
        ":material/model_training:",
        "with the tutorial's recipe, while its losses arrive",
    ),
    ("pages/compare.py", "Compare", ":material/compare_arrows:", "the two ways: curves, answers, and what differs"),
)


@st.fragment
def draw_and_answer(run: Run) -> None:
    with st.container(horizontal=True, gap="large", key="draw_row"):
        with st.container(width=SHOWN_SIDE):  # the same canvas as on Draw: what is on it comes along
            drawing = canvas(20)
            with st.container(horizontal=True, gap="small", vertical_alignment="center"):
                canvas_tools()
        with st.container(key="home_answers"):
            st.header("Draw a digit", anchor=False)
            answers_view([run], prepare(drawing.ink()))
            st.write(
                "A convolutional network of 29,322 numbers reads it while the pen moves. CNN Lab shows how such a "
                "network is written, trained, compared and looked into, all on this machine."
            )


def three_steps() -> None:
    for path, label, icon, told in STEPS:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.page_link(path, label=label, icon=icon, width=130)
            st.markdown(told, width="content")


def runs_now_and_newest() -> None:
    active, ended = [], []
    for row in rows_of(listed(all_runs()), all_sweeps()):
        with suppress(NoSuchRun):  # deleted from another tab just now
            is_active = row.is_active if isinstance(row, SweepRow) else row.status.is_active
            (active if is_active else ended).append(row)
    if active:
        st.subheader("Training now", anchor=False)
        row_links(active)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.subheader("Newest results", anchor=False, width="content")
        whose_switch()
    row_links(ended[:NEWEST_SHOWN] or reference_runs())


begin_page("Home")
lesson_panel("home")
drawing_run = find_run(DRAWING_RUN)
draw_and_answer(drawing_run)
live_pen([drawing_run])
steps_column, runs_column = st.columns(2, gap="large")
with steps_column:
    st.subheader("The tutorial in three steps", anchor=False)
    three_steps()
with runs_column:
    live(runs_now_and_newest, shown=None, now=lambda: None, seconds=REFRESH_SECONDS)
