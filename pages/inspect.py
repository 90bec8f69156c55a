"""Look inside one run: where it errs, what its network is made of, and what it makes of an image."""

import random

import numpy as np
import streamlit as st

from cnnlab.comparison.statistics import accuracy_interval
from cnnlab.conclusions.defaults import newest_good, runs_of_sweeps
from cnnlab.data.mnist import TEST_IMAGES, load_test_set
from cnnlab.errors import LabError
from cnnlab.inference.confusion import confusion_matrix, worst_errors
from cnnlab.inference.networks import newest_weights_of
from cnnlab.inference.test_set import Predictions, predictions_of
from cnnlab.runs.folder import NoSuchRun
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import find_run
from cnnlab.ui.answers.bars import answer_view
from cnnlab.ui.answers.explanation import explanation_view, filters_view
from cnnlab.ui.answers.gallery import WILSON, answers_gallery, confusion_chart
from cnnlab.ui.frame.page import begin_page, scroll_to
from cnnlab.ui.frame.pictures import picture_rows
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.torch_thread import ask
from cnnlab.ui.frame.wording import as_text
from cnnlab.ui.train.choice import runs_and_names
from cnnlab.wording import percent

CELL_IMAGES, WORST_IMAGES = 15, 18  # at first: rows that are full on a wide screen, and on a phone
IMAGE_WIDTH = 9  # rem


def take_choice_from_address(runs: dict[str, Run]) -> None:
    """Choose the run that a new address names, else the one chosen last, else the newest good one."""
    chosen_last = st.session_state.get(Key.INSPECTED_IN_ADDRESS)
    asked = st.query_params.get("run", chosen_last)
    if asked != chosen_last and asked not in runs:
        try:
            newest_weights_of(find_run(asked))
        except LabError as error:
            st.warning(as_text(str(error)))
    if asked != chosen_last or Key.INSPECTED not in st.session_state:
        st.session_state[Key.INSPECTED] = asked
    if st.session_state[Key.INSPECTED] not in runs:
        good = newest_good(runs.values(), runs_of_sweeps())
        st.session_state[Key.INSPECTED] = good.id if good else next(iter(runs))


def accuracy_view(run: Run, labels: np.ndarray, predictions: Predictions) -> None:
    errors = int((predictions.answers != labels).sum())
    low, high = accuracy_interval(TEST_IMAGES - errors, TEST_IMAGES)
    with st.container(horizontal=True):
        st.metric("MNIST accuracy", percent(1 - errors / TEST_IMAGES), width=150)
        st.metric("Errors", f"{errors:,} of {TEST_IMAGES:,}", width=170)
        st.metric("95 % interval", f"{percent(low)} to {percent(high)}", width=280)
    st.caption(
        "On the 10,000 test images. The interval says how far that may lie from the accuracy on all such digits "
        f"([Wilson's score interval]({WILSON}))."
    )
    if run.status.is_active and (epoch := run.last_epoch()):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.info(
                f"It is {run.status}: its newest weights are shown, {epoch.epoch} of {run.config.epochs} epochs done."
            )
            st.button("Take the newest", icon=":material/refresh:")


def confusion_matrix_view(labels: np.ndarray, predictions: Predictions) -> None:
    matrix = confusion_matrix(labels, predictions.answers)
    errors = matrix - np.diag(np.diag(matrix))
    most_frequent = tuple(int(place) for place in np.unravel_index(errors.argmax(), errors.shape))
    digit, answer = st.session_state.get(Key.INSPECTED_CELL, most_frequent)
    figure_column, images_column = st.columns([2, 3], gap="large")
    with figure_column:
        confusion_chart(
            matrix,
            int(errors.max()),
            key="confusion_inspected",
            on_click=lambda *cell: st.session_state.update({Key.INSPECTED_CELL: cell}),
        )
        st.caption(
            "Each row is a digit, each column an answer; the number says how many of the test images. A stronger "
            "colour is more errors. Click a number to see its images, and an image to look into it."
        )
    with images_column:
        st.markdown(f"**{digit} answered as {answer}**")
        behind = np.flatnonzero((labels == digit) & (predictions.answers == answer))
        if len(behind):
            gallery(behind, predictions, key="behind_inspected_cell", at_first=CELL_IMAGES)
        else:
            st.write("None of the test images.")


def worst_errors_view(labels: np.ndarray, predictions: Predictions) -> None:
    worst = worst_errors(labels, predictions)
    if not len(worst):
        st.write("None: it answers all 10,000 test images rightly.")
        return
    st.write("Wrong answers of which it is most sure come first. Click an image to look into it.")
    gallery(worst, predictions, key="worst_errors", at_first=WORST_IMAGES)


def gallery(indices: np.ndarray, predictions: Predictions, *, key: str, at_first: int) -> None:
    answers_gallery(indices, ["Answer"], [predictions], key=key, at_first=at_first, on_click=open_image)


def open_image(index: int) -> None:
    look_into(index)
    st.session_state[Key.IMAGE_WAS_OPENED] = True


def look_into(index: int) -> None:
    st.session_state[Key.LOOKED_INTO] = index


def one_image_view(run: Run, labels: np.ndarray, predictions: Predictions) -> None:
    worst = worst_errors(labels, predictions).tolist()
    st.session_state.setdefault(Key.LOOKED_INTO, next(iter(worst), 0))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        index = st.number_input(
            f"Test image (0 to {TEST_IMAGES - 1:,})",
            0,
            TEST_IMAGES - 1,
            key=Key.LOOKED_INTO,
            persist_state="session",
            width=180,
        )
        st.button("Random", icon=":material/casino:", on_click=look_into, args=(random.randrange(TEST_IMAGES),))
        if worst:
            st.button("Random error", icon=":material/casino:", on_click=look_into, args=(random.choice(worst),))
        if st.button("Send to the canvas", icon=":material/draw:"):
            st.session_state[Key.CANVAS_IMAGE] = index
            st.switch_page("pages/draw.py")
    image = ask(load_test_set)[0][index]
    image_column, answer_column = st.columns([1, 3], gap="large", vertical_alignment="center")
    with image_column:
        picture_rows([image[0].numpy()], [f"Test image {index:,}: a {labels[index]}"], width=IMAGE_WIDTH)
    with answer_column:
        answer_view(run, image[0].numpy())
    explanation_view(run, image, key="inspected_image", at_once=True)


begin_page("Inspect")
st.write(
    "One run from the inside: its confusion matrix, the filters that training gave it, and what they make of an image."
)
all_of_them, names = runs_and_names()
runs = {run_id: run for run_id, run in all_of_them.items() if run.weights_path.exists()}
take_choice_from_address(runs)
run = runs[st.selectbox("Run", list(runs), format_func=names.__getitem__, key=Key.INSPECTED)]
st.session_state[Key.INSPECTED_IN_ADDRESS] = run.id
st.query_params.from_dict({"run": run.id})  # nothing else: on the way back from another page, its choice is left here

try:
    with st.spinner("Asking the network about the 10,000 test images"):
        predictions = ask(predictions_of, run)
    labels = ask(load_test_set)[1].numpy()
except LabError as error:
    st.error(as_text(str(error)))
    st.stop()

try:
    accuracy_view(run, labels, predictions)
except NoSuchRun:  # deleted from another tab just now
    st.rerun()

st.header("Confusion matrix", anchor=False)
st.fragment(confusion_matrix_view)(labels, predictions)

st.header("What it gets most wrong", anchor=False)
st.fragment(worst_errors_view)(labels, predictions)

st.header("Its filters", anchor=False)
filters_view(run)

with st.container(key="one_image"):
    st.header("Look into one image", anchor=False)
    st.fragment(one_image_view)(run, labels, predictions)
    if st.session_state.pop(Key.IMAGE_WAS_OPENED, False):
        scroll_to("one_image")
