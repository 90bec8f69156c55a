"""Filters, feature maps and attributions as small pictures.

A picture is an array of floats from 0 to 1: shape (height, width), from black to white, or (height, width, 4): red,
green, blue and opacity.
"""

import numpy as np

POSITIVE_COLOR = "#e8833a"
NEGATIVE_COLOR = "#4f74ee"
# What is neither shows where the picture is, and little more, on a light and on a dark page.
_ZERO = np.array([0.55, 0.55, 0.55, 0.14])
_FULL_FROM = 0.99  # so many of the pixels have less than the full colour
_INK = 0.42  # how bright full ink is below the colours on it


def light(values: np.ndarray, strongest: float) -> np.ndarray:
    """Return numbers from 0 as greys: 0 is black, `strongest` is white."""
    return (values / (strongest or 1)).clip(0, 1)


def signed(values: np.ndarray, strongest: float) -> np.ndarray:
    """Return numbers as two colours that begin faint, at 0, and are full at `strongest`, or less its sign.

    Returns
    -------
    ndarray
        Shape of `values`, and an axis of four: red, green, blue, opacity.
    """
    share = (np.abs(values) / (strongest or 1)).clip(0, 1)[..., None]
    return _ZERO * (1 - share) + _color_by_sign(values) * share


def slices_in_a_row(weights: np.ndarray, strongest: float | None = None) -> np.ndarray:
    """Return a filter as one picture: its slices from left to right, a pixel apart.

    Parameters
    ----------
    weights
        Shape (channels, height, width).
    strongest
        The number that has the full colour; the filter's own largest weight if left out.

    Returns
    -------
    ndarray
        Shape (height, channels * (width + 1) - 1, 4).
    """
    colors = signed(
        weights, float(np.abs(weights).max()) if strongest is None else strongest
    )  # (channels, height, width, 4)
    parted = np.pad(colors, ((0, 0), (0, 0), (0, 1), (0, 0)))
    return np.concatenate(list(parted), axis=1)[:, :-1]


def on_ink(image: np.ndarray, attributions: np.ndarray) -> np.ndarray:
    """Return an image in dim greys, with the colours of its pixels' attributions on it.

    Parameters
    ----------
    image, attributions
        Shape (28, 28).

    Returns
    -------
    ndarray
        Shape (28, 28, 4), opaque.
    """
    strengths = np.abs(attributions)
    # One pixel alone is often far stronger than all others, which could not be seen beside it.
    strongest = float(np.quantile(strengths, _FULL_FROM))
    share = (strengths / (strongest or 1)).clip(0, 1)[..., None]
    ink = np.concatenate([np.repeat(image[..., None] * _INK, 3, axis=2), np.ones((*image.shape, 1))], axis=2)
    return ink * (1 - share) + _color_by_sign(attributions) * share


def _color_by_sign(values: np.ndarray) -> np.ndarray:
    return np.where(values[..., None] < 0, _rgba(NEGATIVE_COLOR), _rgba(POSITIVE_COLOR))


def _rgba(color: str) -> np.ndarray:
    return np.array([*bytes.fromhex(color[1:]), 255]) / 255
