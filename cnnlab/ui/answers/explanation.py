"""A network's filters, and its feature maps and attributions for an image."""

import numpy as np
import streamlit as st
import torch
from torch import Tensor

from cnnlab.charts.shading import NEGATIVE_COLOR, POSITIVE_COLOR, light, on_ink, slices_in_a_row
from cnnlab.data.mnist import IMAGE_SHAPE
from cnnlab.errors import LabError
from cnnlab.inference.answers import answers_of
from cnnlab.inference.networks import newest_network_of
from cnnlab.inference.test_set import DIGITS
from cnnlab.models.insight import attribution, feature_maps, filters_of
from cnnlab.models.layers import shape_text
from cnnlab.runs.run import Run
from cnnlab.ui.frame.pictures import picture_rows
from cnnlab.ui.frame.torch_thread import ask
from cnnlab.ui.frame.wording import as_text

# Of one convolution: more could not be told apart.
_PICTURES_SHOWN = 64
_SLICES_SHOWN = 16
# Widths are in rem, the size of the page's text. A row of slices fits the screen of a phone.
_WIDEST = 17.0
_FILTER_PIXEL = 1.1
_MAP_WIDTH = 4.6
_ATTRIBUTION_WIDTH = 12.0
_ITS_ANSWER = "its answer"
_INTEGRATED_GRADIENTS = "https://arxiv.org/abs/1703.01365"


def filters_view(run: Run) -> None:
    """Show the filters of each convolution of a run's network."""
    try:
        filters = ask(_filters_of, run)
    except LabError as error:
        st.error(as_text(str(error)))
        return
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


def explanation_view(run: Run, image: Tensor | np.ndarray, *, key: str, at_once: bool = False) -> None:
    """Show what a run's network makes of an image, where it is asked for: feature maps, and which pixels spoke.

    Parameters
    ----------
    image
        Shape (1, 28, 28), float32, from 0 to 1, as the network is given it.
    key
        What the names of the widgets begin with.
    at_once
        Whether both are shown before anybody has asked.
    """
    given = torch.as_tensor(image).reshape(IMAGE_SHAPE)
    with st.container(horizontal=True):
        shows_maps = st.toggle("Feature maps", at_once, key=f"{key}_maps", persist_state="session")
        shows_pixels = st.toggle("Which pixels spoke", at_once, key=f"{key}_pixels", persist_state="session")
    try:
        if shows_pixels:
            _attribution_view(run, given, key)
        if shows_maps:
            _feature_maps_view(ask(_feature_maps_of, run, given))
    except LabError as error:
        st.error(as_text(str(error)))


def _feature_maps_view(maps: dict[str, np.ndarray]) -> None:
    for number, (name, found) in enumerate(maps.items(), start=1):
        count, *size = found.shape
        _heading(number, name, f"{count:,} maps of {shape_text(tuple(size))}")
        shown = [light(each, strongest=float(found.max())) for each in found[:_PICTURES_SHOWN]]
        picture_rows(shown, _numbers(shown), width=_MAP_WIDTH)
    st.caption(
        "Each map is what the filter of its number finds in the image, after the ReLU: black is nothing, white the "
        "most that any filter of its convolution finds here."
    )


def _attribution_view(run: Run, image: Tensor, key: str) -> None:
    chosen = st.selectbox(
        "Which pixels spoke for",
        [_ITS_ANSWER, *map(str, range(DIGITS))],
        key=f"{key}_digit",
        persist_state="session",
        filter_mode=None,
        width=200,
    )
    digit, given = ask(_attribution_of, run, image, None if chosen == _ITS_ANSWER else int(chosen))
    picture, told = st.columns([1, 2], vertical_alignment="center")
    with picture:
        picture_rows([on_ink(image[0].numpy(), given)], [f"For {digit}"], width=_ATTRIBUTION_WIDTH)
    spoke_for, spoke_against = given[given > 0].sum(), given[given < 0].sum()
    told.markdown(
        f"{_swatch(POSITIVE_COLOR)} spoke for {digit}: {_with_sign(spoke_for)}  \n"
        f"{_swatch(NEGATIVE_COLOR)} spoke against it: {_with_sign(spoke_against)}  \n"
        f"Together: {_with_sign(spoke_for + spoke_against)}",
        unsafe_allow_html=True,
    )
    told.caption(
        f"This is what the ink adds to the logit of {digit}, the number from which the softmax makes its probability. "
        "Black pixels have no say: the image is compared with a black one. Found by "
        f"[integrated gradients]({_INTEGRATED_GRADIENTS})."
    )


def _heading(number: int, name: str, told: str) -> None:
    st.markdown(f"**Convolution {number}** · layer `{name}` · {told}")


def _swatch(color: str) -> str:
    return f'<span style="color: {color}">■</span> {"orange" if color == POSITIVE_COLOR else "blue"}'


def _with_sign(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


def _numbers(pictures: list[np.ndarray]) -> list[str]:
    return [str(number) for number in range(1, len(pictures) + 1)]


# What follows computes with PyTorch, and is called by `ask`.


def _filters_of(run: Run) -> dict[str, np.ndarray]:
    return {name: weights.numpy() for name, weights in filters_of(newest_network_of(run).module).items()}


def _feature_maps_of(run: Run, image: Tensor) -> dict[str, np.ndarray]:
    return {name: maps.numpy() for name, maps in feature_maps(newest_network_of(run).module, image).items()}


def _attribution_of(run: Run, image: Tensor, digit: int | None) -> tuple[int, np.ndarray]:
    """Return the digit that is asked about, the answer where none is, and the attributions of the pixels."""
    if digit is None:
        digit = answers_of(run, image.numpy())[0].digit
    return digit, attribution(newest_network_of(run).module, image, digit).numpy()
