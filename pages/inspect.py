"""Look inside one run: what its network makes of an image, where it errs, and what it is made of."""

from cnnlab.workers.child import start_first_worker

start_first_worker()  # before what takes a while to import

import random
from functools import partial

import numpy as np
import streamlit as st

from cnnlab.comparison.statistics import accuracy_interval
from cnnlab.conclusions.defaults import newest_good, runs_of_sweeps
from cnnlab.errors import LabError
from cnnlab.film.animation import filters_film
from cnnlab.film.moments import filters_over_training
from cnnlab.inference.confusion import confusion_matrix, worst_errors
from cnnlab.inference.networks import Moment, newest_weights_of
from cnnlab.inference.test_set import Predictions, TestSet, images_of, predictions_of
from cnnlab.runs.folder import NoSuchRun
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import find_run
from cnnlab.runs.snapshots import kept_steps
from cnnlab.ui.answers.bars import answer_view
from cnnlab.ui.answers.explanation import attribution_view, feature_maps_view, filters_view
from cnnlab.ui.answers.gallery import WILSON, answers_gallery, confusion_chart, true_digits
from cnnlab.ui.answers.reliability import reliability_view
from cnnlab.ui.film.bar import film_bar, follow_newest
from cnnlab.ui.frame.download import download_button
from cnnlab.ui.frame.page import begin_page
from cnnlab.ui.frame.pictures import picture_rows
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.tabs import show_tabs
from cnnlab.ui.frame.torch_thread import ask
from cnnlab.ui.frame.wording import as_text
from cnnlab.ui.learners.whose import whose_switch
from cnnlab.ui.lessons.panel import lesson_panel
from cnnlab.ui.train.choice import runs_and_names
from cnnlab.wording import percent

CELL_IMAGES, WORST_IMAGES = 15, 18  # at first: rows that are full on a wide screen, and on a phone
IMAGE_WIDTH = 9  # rem
TEST_SETS: dict[TestSet, str] = {"mnist": "MNIST", "pen": "Drawn by people"}
ORIGINS: dict[TestSet, str] = {
    "mnist": "MNIST's digits were written with ink on paper, in the USA.",
    "pen": "These digits were drawn with a pen on a tablet, by people whose digits no network here is trained on.",
}
ONE_IMAGE = "One image"


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


def accuracy_view(test_set: TestSet, labels: np.ndarray, predictions: Predictions) -> None:
    total = len(labels)
    right = int((predictions.answers == labels).sum())
    low, high = accuracy_interval(right, total)
    st.metric("Accuracy", percent(right / total), width="content")
    st.metric("Errors", f"{total - right:,} of {total:,}", width="content")
    st.metric(
        "95 % interval",
        f"{percent(low)} to {percent(high)}",
        width="content",
        help=f"How far that may lie from the accuracy on all such digits ([Wilson's score interval]({WILSON})). "
        + ORIGINS[test_set],
    )


def newest_weights_view(run: Run) -> None:
    if run.status.is_active and (epoch := run.last_epoch()):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.info(
                f"It is {run.status}: its newest weights are shown, {epoch.epoch} of {run.config.epochs} epochs done."
            )
            st.button("Take the newest", icon=":material/refresh:", on_click=follow_newest)


def confusion_matrix_view(test_set: TestSet, labels: np.ndarray, predictions: Predictions) -> None:
    matrix = confusion_matrix(labels, predictions.answers)
    errors = matrix - np.diag(np.diag(matrix))
    most_frequent = tuple(int(place) for place in np.unravel_index(errors.argmax(), errors.shape))
    digit, answer = st.session_state.get(Key.INSPECTED_CELL, most_frequent)
    figure_column, images_column = st.columns([2, 3], gap="large")
    with figure_column:
        confusion_chart(
            matrix,
            int(errors.max()),
            key=f"confusion_inspected_{test_set}",
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
            gallery(behind, predictions, test_set, key="behind_inspected_cell", at_first=CELL_IMAGES)
        else:
            st.write("None of the test images.")


def worst_errors_view(test_set: TestSet, labels: np.ndarray, predictions: Predictions) -> None:
    worst = worst_errors(labels, predictions)
    if not len(worst):
        st.write(f"Nothing: it answers all {len(labels):,} test images rightly.")
        return
    st.write("Wrong answers of which it is most sure come first. Click an image to look into it.")
    gallery(worst, predictions, test_set, key="worst_errors", at_first=WORST_IMAGES)


def gallery(indices: np.ndarray, predictions: Predictions, test_set: TestSet, *, key: str, at_first: int) -> None:
    answers_gallery(
        indices, ["Answer"], [predictions], key=key, test_set=test_set, at_first=at_first, on_click=open_image
    )


def open_image(index: int) -> None:
    look_into(index)
    st.session_state[Key.INSPECTED_PART] = ONE_IMAGE


def look_into(index: int) -> None:
    st.session_state[Key.LOOKED_INTO] = index


def one_image_view(run: Run, moment: Moment, test_set: TestSet, labels: np.ndarray, predictions: Predictions) -> None:
    worst = worst_errors(labels, predictions).tolist()
    if st.session_state.get(Key.LOOKED_INTO, len(labels)) >= len(labels):  # of the larger test set
        look_into(next(iter(worst), 0))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        index = st.number_input(
            f"Test image (0 to {len(labels) - 1:,})",
            0,
            len(labels) - 1,
            key=Key.LOOKED_INTO,
            persist_state="session",
            width=180,
        )
        st.button("Random", icon=":material/casino:", on_click=look_into, args=(random.randrange(len(labels)),))
        if worst:
            st.button("Random error", icon=":material/casino:", on_click=look_into, args=(random.choice(worst),))
        if st.button(
            "Send to the canvas",
            icon=":material/draw:",
            help="Draw on it, and see when the answer of this network, as it is now, changes.",
        ):
            st.session_state[Key.CANVAS_IMAGE] = (test_set, index, run.id)
            st.switch_page("pages/draw.py")
    image = ask(images_of, test_set)[0][index]
    answer_column, pixels_column = st.columns([2, 3], gap="large")
    with answer_column:
        picture_rows([image[0].numpy()], [f"Test image {index:,}: a {labels[index]}"], width=IMAGE_WIDTH)
        answer_view(run, image[0].numpy(), moment)
    with pixels_column:
        attribution_view(run, image, key="inspected_image", label=int(labels[index]), moment=moment)
    feature_maps_view(run, image, moment)


def own_filters_view(run: Run, moment: Moment) -> None:
    if filters_view(run, moment) and kept_steps(run):
        download_button(
            "As a film (GIF)",
            partial(film_of_filters, run),
            file_name=f"{run.id}-filters.gif",
            mime="image/gif",
            icon=":material/movie:",
            help="The filters over the whole training, to show elsewhere.",
        )


def film_of_filters(run: Run) -> bytes:
    filters = ask(filters_over_training, run)
    return filters_film(*filters, run.total_steps) if filters else b""


begin_page("Inspect")
lesson_panel("inspect")
all_of_them, names = runs_and_names()
runs = {run_id: run for run_id, run in all_of_them.items() if run.weights_path.exists()}
take_choice_from_address(runs)
with st.container(horizontal=True, vertical_alignment="bottom"):
    to_pick_from = [run_id for run_id in names if run_id in runs]
    run = runs[st.selectbox("Run", to_pick_from, format_func=names.__getitem__, key=Key.INSPECTED, width=340)]
    test_set = st.segmented_control(
        "Test set",
        list(TEST_SETS),
        format_func=TEST_SETS.__getitem__,
        default="mnist",
        required=True,
        key=Key.INSPECTED_SET,
        persist_state="session",
        width="content",
    )
    whose_switch()
    accuracy = st.container(horizontal=True, width="content", key="accuracy")
st.session_state[Key.INSPECTED_IN_ADDRESS] = run.id
address = {"run": run.id}
st.query_params.from_dict(address)  # nothing else: on the way back from another page, its choice is left here

try:
    moment = film_bar(run, address)
    with st.spinner("Asking the network about all test images"):
        predictions = ask(predictions_of, run, test_set, moment)
    labels = true_digits(test_set)
    with accuracy:
        accuracy_view(test_set, labels, predictions)
    if moment == "newest":
        newest_weights_view(run)
except NoSuchRun:  # deleted from another tab just now
    st.rerun()
except LabError as error:
    st.error(as_text(str(error)))
    st.stop()

show_tabs(
    {
        ONE_IMAGE: partial(st.fragment(one_image_view), run, moment, test_set, labels, predictions),
        "Confusion matrix": partial(st.fragment(confusion_matrix_view), test_set, labels, predictions),
        "What it gets most wrong": partial(st.fragment(worst_errors_view), test_set, labels, predictions),
        "Its filters": partial(own_filters_view, run, moment),
        "How sure, how right": partial(reliability_view, run, moment),
    },
    key=Key.INSPECTED_PART,
)
