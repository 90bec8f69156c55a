"""A network's filters, and its feature maps and attributions for an image."""

import numpy as np
import streamlit as st
import torch
from torch import Tensor

from cnnlab.charts.shading import NEGATIVE_COLOR, POSITIVE_COLOR, light, on_ink, slices_in_a_row
from cnnlab.data.mnist import IMAGE_SHAPE
from cnnlab.errors import LabError
from cnnlab.inference.answers import answers_of
from cnnlab.inference.networks import Moment, network_at
from cnnlab.inference.test_set import DIGITS
from cnnlab.models.insight import attribution, feature_maps, filters_of
from cnnlab.runs.run import Run
from cnnlab.ui.film.answers import answers_over_training_view
from cnnlab.ui.frame.pictures import picture_rows
from cnnlab.ui.frame.torch_thread import ask
from cnnlab.ui.frame.wording import as_text
from cnnlab.wording import shape_text

# Of one convolution: more could not be told apart.
_PICTURES_SHOWN = 64
_SLICES_SHOWN = 16
# Widths are in rem, the size of the page's text. A row of slices fits the screen of a phone.
_WIDEST = 17.0
_FILTER_PIXEL = 1.1
_MAP_WIDTH = 4.6
_ATTRIBUTION_WIDTH = 12.0
_ITS_ANSWER = "its answer"
_NO_OTHER = "no other"
_INTEGRATED_GRADIENTS = "https://arxiv.org/abs/1703.01365"


def filters_view(run: Run, moment: Moment) -> bool:
    """Show the filters of each convolution of a run's network at a moment of its training; say whether it has any."""
    try:
        filters = ask(_filters_of, run, moment)
    except LabError as error:
        st.error(as_text(str(error)))
        return False
    for number, (name, weights) in enumerate(filters.items(), start=1):
        count, *size = weights.shape
        _heading(number, name, f"{count:,} filters of {shape_text(tuple(size))}")
        shown = weights[:_PICTURES_SHOWN, :_SLICES_SHOWN]
        pictures = [slices_in_a_row(each) for each in shown]
        picture_rows(pictures, _numbers(pictures), width=min(_WIDEST, _FILTER_PIXEL * pictures[0].shape[1]))
        if shown.shape != weights.shape:
            st.caption(f"The first {shown.shape[0]} filters, and the first {shown.shape[1]} slices of each.")
    st.caption(
        f"What a filter looks for: ink under {_swatch(POSITIVE_COLOR)} counts for it, under {_swatch(NEGATIVE_COLOR)} "
        "against it; the fullest colour is its largest weight. The first convolution looks at the image. A later one "
        "looks at the maps of the one before, with one slice for each.",
        unsafe_allow_html=True,
    )
    return bool(filters)


def explanation_view(run: Run, image: Tensor | np.ndarray, *, key: str) -> None:
    """Show what a run's network makes of an image, where it is asked for.

    That is its feature maps, which pixels spoke, and what it would have answered while it was trained.

    Parameters
    ----------
    image
        Shape (1, 28, 28), float32, from 0 to 1, as the network is given it.
    key
        What the names of the widgets begin with.
    """
    with st.container(horizontal=True):
        shows_maps = st.toggle("Feature maps", key=f"{key}_maps", persist_state="session")
        shows_pixels = st.toggle("Which pixels spoke", key=f"{key}_pixels", persist_state="session")
        shows_training = st.toggle("Its answer over training", key=f"{key}_training", persist_state="session")
    if shows_training:
        answers_over_training_view(run, image)
    if shows_pixels:
        attribution_view(run, image, key=key)
    if shows_maps:
        feature_maps_view(run, image)


def feature_maps_view(run: Run, image: Tensor | np.ndarray, moment: Moment = "now") -> None:
    """Show what each convolution finds in an image, as `explanation_view` takes it."""
    try:
        maps = ask(_feature_maps_of, run, torch.as_tensor(image).reshape(IMAGE_SHAPE), moment)
    except LabError as error:
        st.error(as_text(str(error)))
        return
    for number, (name, found) in enumerate(maps.items(), start=1):
        count, *size = found.shape
        _heading(number, name, f"{count:,} maps of {shape_text(tuple(size))}")
        shown = [light(each, strongest=float(found.max())) for each in found[:_PICTURES_SHOWN]]
        names = [name if each.any() else f"{name}: none" for name, each in zip(_numbers(shown), shown, strict=True)]
        picture_rows(shown, names, width=_MAP_WIDTH)
    st.caption(
        "Each map is what the filter of its number finds in the image, after the ReLU: black is nothing, white the "
        "most that any filter of its convolution finds here. *None*: the filter came to no value above zero anywhere, "
        "and the ReLU made all of them 0."
    )


def attribution_view(
    run: Run, image: Tensor | np.ndarray, *, key: str, label: int | None = None, moment: Moment = "now"
) -> None:
    """Show which pixels of an image spoke for a digit, or for one rather than another.

    Parameters
    ----------
    image
        Shape (1, 28, 28), float32, from 0 to 1, as the network is given it.
    key
        What the names of the widgets begin with.
    label
        The digit that the image is, where that is known: of a wrong answer it is asked at first why that one rather
        than this.
    moment
        At which the network is asked.
    """
    given = torch.as_tensor(image).reshape(IMAGE_SHAPE)
    picture, told = st.columns([2, 3], vertical_alignment="center")
    try:
        with told:
            digit, rather_than = _asked_about(ask(_answer_of, run, given, moment), label, key)
        spoke = ask(_attribution_of, run, given, digit, rather_than, moment)
    except LabError as error:
        st.error(as_text(str(error)))
        return
    question = f"{digit}" if rather_than is None else f"{digit} rather than {rather_than}"
    with picture:
        picture_rows([on_ink(given[0].numpy(), spoke)], [f"For {question}"], width=_ATTRIBUTION_WIDTH)
    spoke_for, spoke_against = spoke[spoke > 0].sum(), spoke[spoke < 0].sum()
    what = (
        f"the logit of {digit}, the number from which the softmax makes its probability"
        if rather_than is None
        else f"the logit of {digit} less that of {rather_than}; above zero, {digit} is the more probable"
    )
    told.markdown(
        f"{_swatch(POSITIVE_COLOR)} spoke for {question}: {_with_sign(spoke_for)}  \n"
        f"{_swatch(NEGATIVE_COLOR)} spoke against it: {_with_sign(spoke_against)}  \n"
        f"Together: {_with_sign(spoke_for + spoke_against)}",
        unsafe_allow_html=True,
        help=f"This is what the ink adds to {what}. Black pixels have no say: the image is compared with a black one. "
        f"Found by [integrated gradients]({_INTEGRATED_GRADIENTS}).",
    )


def _asked_about(answer: int, label: int | None, key: str) -> tuple[int, int | None]:
    """Let the person choose the digit that is asked about, and another that it is held against, or None."""
    digits = [str(digit) for digit in range(DIGITS)]
    with st.container(horizontal=True):
        chosen = st.selectbox(
            "Which pixels spoke for",
            [_ITS_ANSWER, *digits],
            key=f"{key}_digit",
            persist_state="session",
            filter_mode=None,
            width=170,
        )
        digit = answer if chosen == _ITS_ANSWER else int(chosen)
        others = [each for each in digits if each != str(digit)]
        other = st.selectbox(
            "rather than",
            [_NO_OTHER, *others],
            index=0 if label in (None, digit) else 1 + others.index(str(label)),
            key=f"{key}_rather_than_{digit}_{label}",
            filter_mode=None,
            width=130,
        )
    return digit, None if other == _NO_OTHER else int(other)


def _heading(number: int, name: str, told: str) -> None:
    st.markdown(f"**Convolution {number}** · layer `{name}` · {told}")


def _swatch(color: str) -> str:
    return f'<span style="color: {color}">■</span> {"orange" if color == POSITIVE_COLOR else "blue"}'


def _with_sign(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


def _numbers(pictures: list[np.ndarray]) -> list[str]:
    return [str(number) for number in range(1, len(pictures) + 1)]


# What follows computes with PyTorch, and is called by `ask`.


def _filters_of(run: Run, moment: Moment) -> dict[str, np.ndarray]:
    return {name: weights.numpy() for name, weights in filters_of(network_at(run, moment).module).items()}


def _feature_maps_of(run: Run, image: Tensor, moment: Moment) -> dict[str, np.ndarray]:
    return {name: maps.numpy() for name, maps in feature_maps(network_at(run, moment).module, image).items()}


def _answer_of(run: Run, image: Tensor, moment: Moment) -> int:
    return answers_of(run, image.numpy(), moment)[0].digit


def _attribution_of(run: Run, image: Tensor, digit: int, rather_than: int | None, moment: Moment) -> np.ndarray:
    return attribution(network_at(run, moment).module, image, digit, rather_than).numpy()
