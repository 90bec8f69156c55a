"""Draw a digit, and see what every network answers."""

from cnnlab.workers.child import start_first_worker

start_first_worker()  # before what takes a while to import

import random
from collections.abc import Callable
from functools import partial

import streamlit as st

from cnnlab.comparison.labels import labels_of
from cnnlab.conclusions.defaults import networks_to_draw_for, runs_of_sweeps
from cnnlab.data.mnist import TEST_IMAGES
from cnnlab.drawing.my_digits import my_digits
from cnnlab.drawing.preparation import moved, prepare
from cnnlab.drawing.strokes import CANVAS_SIDE
from cnnlab.errors import LabError
from cnnlab.inference.test_set import TestSet, images_of
from cnnlab.runs.folder import NoSuchRun
from cnnlab.runs.run import Run
from cnnlab.ui.answers.bars import answers_view, steps_view
from cnnlab.ui.answers.explanation import explanation_view
from cnnlab.ui.draw.canvas import SHOWN_SIDE, Picture, canvas, canvas_tools, clear_canvas, drawing_now, put_on_canvas
from cnnlab.ui.draw.diagram import network_diagram
from cnnlab.ui.draw.fine_tuning import fine_tuning_view
from cnnlab.ui.draw.moving import move_now, move_tools
from cnnlab.ui.draw.my_digits import asked_digit, is_round, keep_choices, my_digits_view
from cnnlab.ui.draw.pen import live_pen
from cnnlab.ui.draw.places import draw_row
from cnnlab.ui.frame.actions import show_error
from cnnlab.ui.frame.live import live
from cnnlab.ui.frame.page import begin_page, scroll_to
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.torch_thread import ask
from cnnlab.ui.frame.wording import as_text
from cnnlab.ui.learners.who import learner
from cnnlab.ui.learners.whose import whose_switch
from cnnlab.ui.lessons.panel import lesson_panel
from cnnlab.ui.train.choice import RunChoice, runs_and_names

CHOICE = RunChoice(Key.ANSWERING, most=12)
REFRESH_SECONDS = 1.0  # while a chosen run trains, so that one sees it learn


@st.fragment
def draw_and_answer(chosen: list[Run], keep_up: Callable[[Callable[[], None]], None]) -> None:
    with draw_row():
        with st.container(key="draw_tools", width=SHOWN_SIDE):
            tools()
        keep_up(partial(drawing_and_answers, chosen))
        if chosen:
            network_diagram(looked_into(chosen).id)


def drawing_and_answers(chosen: list[Run]) -> None:
    with st.container(key="draw_canvas", width=SHOWN_SIDE):
        asked_digit()
        drawing = canvas(st.session_state.get(Key.BRUSH, 20))
        prepared, move = prepare(drawing.ink()), move_now()
        is_on_picture = drawing.picture is not None
        can_keep = prepared is not None and not is_on_picture
        if is_round():  # near the canvas, for one digit is drawn after the other
            keep_choices(can_keep)
    with st.container(key="draw_answers"):
        answers_view(chosen, prepared, move)
        if not is_round():
            keep_choices(can_keep, is_on_picture)
        steps_view(prepared, drawing.picture.steps if drawing.picture else None, move)
    if chosen and prepared:
        with st.container(key="draw_inside"):
            explanation_view(looked_into(chosen), moved(prepared.centred, *move), key="drawn")


def tools() -> None:
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        canvas_tools()
        with st.popover("Brush"):
            st.slider("Brush width", 6, 40, 20, format="%d px", key=Key.BRUSH, persist_state="session")
    if picture := drawing_now().picture:
        st.caption(as_text(picture.title))
    if not is_round():
        move_tools()


def answer_while_the_pen_moves(chosen: list[Run]) -> None:
    for refusal in live_pen(chosen, with_scales=True):
        st.caption(as_text(refusal))


def any_is_active(runs: list[Run]) -> bool:
    return any(run.status.is_active for run in runs)


def looked_into(chosen: list[Run]) -> Run:
    """Return the run that is looked into: the one that was chosen for it, or the first."""
    return next((run for run in chosen if run.id == st.session_state.get(Key.LOOKED_INTO_RUN)), chosen[0])


def look_inside_choice(chosen: list[Run]) -> None:
    labels = dict(zip((run.id for run in chosen), labels_of(chosen), strict=True))
    if st.session_state.get(Key.LOOKED_INTO_RUN) not in labels:
        st.session_state[Key.LOOKED_INTO_RUN] = chosen[0].id
    st.selectbox("Look inside", list(labels), format_func=labels.__getitem__, key=Key.LOOKED_INTO_RUN)


def choose_first(run: Run) -> None:
    """Let a run answer, before those that do."""
    CHOICE.choose([run.id, *st.session_state[CHOICE.key]])


def put_test_image(index: int, test_set: TestSet = "mnist") -> None:
    if test_set == "mnist":
        st.session_state[Key.TEST_IMAGE] = index
    images, labels = ask(images_of, test_set)
    enlarged = images[index, 0].numpy().repeat(CANVAS_SIDE // 28, axis=0).repeat(CANVAS_SIDE // 28, axis=1)
    put_on_canvas(Picture(enlarged, f"Test image {index:,}: a {labels[index]}"))
    st.session_state[Key.TURN_TO_CANVAS] = True


def put_uploaded() -> None:
    if (file := st.session_state[Key.UPLOADED_PICTURE]) is None:
        return
    try:
        from cnnlab.drawing.photos import picture_steps  # it imports SciPy, which is for photos alone

        steps = picture_steps(file.getvalue())
        put_on_canvas(Picture(steps.ink, file.name, steps))
        st.session_state[Key.TURN_TO_CANVAS] = True
    except LabError as error:
        if drawing_now().picture:  # else the answers to the one before would stand below the error
            clear_canvas()
        st.session_state[Key.PICTURE_ERROR] = str(error)


def examples_popover() -> None:
    with st.popover("Start from a picture", icon=":material/image:"):
        st.write("Draw on it, or see how the networks read it as it is.")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            index = st.number_input("Test image of MNIST", 0, TEST_IMAGES - 1, key=Key.TEST_IMAGE)
            st.button("Show", on_click=put_test_image, args=(index,))
            st.button(
                "Random", icon=":material/casino:", on_click=put_test_image, args=(random.randrange(TEST_IMAGES),)
            )
        st.file_uploader(
            "A photo or scan of one digit",
            ["png", "jpg", "jpeg", "webp", "bmp", "gif"],
            key=Key.UPLOADED_PICTURE,
            on_change=put_uploaded,
            max_upload_size=20,
        )


begin_page("Draw")
lesson_panel("draw")
runs, names = runs_and_names()
if sent := st.session_state.pop(Key.CANVAS_IMAGE, None):  # by Inspect, with the network that answered there
    test_set, index, run_id = sent
    put_test_image(index, test_set)
    CHOICE.choose([run_id])
CHOICE.take_from_address(
    runs, default=lambda: [run.id for run in networks_to_draw_for(runs.values(), runs_of_sweeps())]
)
show_error(Key.PICTURE_ERROR)
networks_column, inside_column, *whose_column = st.columns(
    [2.6, 1, 0.9] if learner() else [3, 1], vertical_alignment="bottom"
)
if whose_column:
    with whose_column[0]:
        whose_switch()
networks_column.multiselect(
    "Networks that answer while you draw",
    list(names),
    format_func=names.__getitem__,
    key=CHOICE.key,
    max_selections=CHOICE.most,
    placeholder="Choose runs",
)
CHOICE.put_into_address()
chosen = [runs[run_id] for run_id in st.session_state[CHOICE.key]]
if chosen:
    with inside_column:
        look_inside_choice(chosen)
try:
    is_live = any_is_active(chosen)
    keep_up = partial(
        live,
        shown=is_live,
        now=partial(any_is_active, chosen),
        seconds=REFRESH_SECONDS,
        is_live=is_live,
        address=CHOICE.address,
    )
    draw_and_answer(chosen, keep_up)
    keep_up(partial(answer_while_the_pen_moves, chosen))  # by itself: a stroke need not send the networks again
    examples_popover()
    digits = my_digits(learner())
    my_digits_view(chosen, digits)
    if digits or any(run.fine_tuning for run in chosen):
        fine_tuning_view(chosen, digits, CHOICE.address, then=choose_first)
    if st.session_state.pop(Key.TURN_TO_CANVAS, False):
        scroll_to("draw_row")
except NoSuchRun:  # deleted from another tab just now
    st.rerun()
