"""Confusion matrices, and images with what networks answer to them."""

from collections.abc import Callable, Sequence

import numpy as np
import streamlit as st

from cnnlab.charts.answers import confusion_figure
from cnnlab.inference.test_set import Predictions, TestSet, images_of
from cnnlab.ui.frame.page import theme_color
from cnnlab.ui.frame.pictures import digit_buttons, digit_gallery
from cnnlab.ui.frame.torch_thread import ask

_IMAGES = 24
_ANSWERS_SHOWN = 4
WILSON = "https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval#Wilson_score_interval"


def confusion_chart(
    matrix: np.ndarray, highest: int, *, key: str, on_click: Callable[[int, int], None], is_difference: bool = False
) -> None:
    """Show a confusion matrix, as `confusion_figure` draws it; `on_click` is given a cell's digit and answer."""

    def tell_of_click() -> None:
        if points := st.session_state[key]["selection"]["points"]:
            on_click(int(points[0]["y"]), int(points[0]["x"]))

    st.plotly_chart(
        confusion_figure(matrix, max(1, highest), text_color=theme_color("textColor"), is_difference=is_difference),
        key=key,
        on_select=tell_of_click,
        selection_mode="points",
        config={"displayModeBar": False},
    )


def answers_gallery(
    indices: np.ndarray,
    names: Sequence[str],
    predictions: Sequence[Predictions],
    *,
    key: str,
    test_set: TestSet = "mnist",
    at_first: int = _IMAGES,
    on_click: Callable[[int], None] | None = None,
) -> None:
    """Show test images with the answers that are given to them.

    Parameters
    ----------
    indices
        Of the images in the test set, int64.
    names
        Of those that give the answers.
    at_first
        How many images are shown until more are asked for.
    on_click
        Makes the images buttons, and is given the index of one that is clicked.
    """
    count = st.session_state.get(key, at_first)
    chosen = indices[:count]
    images, labels = ask(images_of, test_set)
    captions = [[f"Digit {labels[index]}", *_answers(index, names, predictions)] for index in chosen]
    if on_click:
        digit_buttons(images[chosen], captions, chosen.tolist(), key=key, on_click=on_click)
    else:
        digit_gallery(images[chosen], captions)
    if len(indices) > count:
        st.button(
            f"More of {len(indices):,}", key=f"more_{key}", on_click=st.session_state.__setitem__, args=(key, count * 2)
        )


def _answers(index: int, names: Sequence[str], predictions: Sequence[Predictions]) -> list[str]:
    if len(names) <= _ANSWERS_SHOWN:
        return [
            f"{name}: {each.answers[index]} ({100 * each.confidences[index]:.0f} %)"
            for name, each in zip(names, predictions, strict=True)
        ]
    answering: dict[int, list[str]] = {}
    for name, each in zip(names, predictions, strict=True):
        answering.setdefault(int(each.answers[index]), []).append(name)
    return [f"{answer}: {'; '.join(who)}" for answer, who in answering.items()]


def true_digits(test_set: TestSet) -> np.ndarray:
    return ask(images_of, test_set)[1].numpy()
