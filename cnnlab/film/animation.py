"""A run's film as an animated GIF: its filters, or its answers to one image, from moment to moment."""

import io
from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from cnnlab.charts.shading import slices_in_a_row
from cnnlab.errors import LabError
from cnnlab.film.moments import Film, film_of
from cnnlab.inference.test_set import DIGITS
from cnnlab.models.insight import filters_of
from cnnlab.runs.run import Run
from cnnlab.wording import percent

# Of one convolution: more could not be told apart.
_FILTERS_SHOWN, _SLICES_SHOWN = 32, 8
_FRAME_MILLISECONDS, _LAST_MILLISECONDS = 250, 2_500
_PIXEL, _GAP, _MARGIN, _WIDTH, _LINE = 6, 8, 16, 420, 22
_PAPER, _INK, _BAR, _MOST_BAR = "#ffffff", "#1c2330", "#b9c0cc", "#2f5bea"


class NoFilm(LabError):
    """A run has no film."""


def filters_film(run: Run) -> bytes:
    """Return the filters of a run's convolutions over its training, as an animated GIF.

    The fullest colour of a filter is the largest weight that it has at any moment.

    Raises
    ------
    NoFilm, NoPredictions, UnreadableRun
        If there is none, or it cannot be read.
    """
    film = _film(run)
    moments = [_filters_after(film, place) for place in range(len(film.steps))]
    strongest = [np.abs(np.stack(each)).max(axis=(0, 2, 3, 4)) for each in zip(*moments, strict=True)]
    frames = []
    for step, convolutions in zip(film.steps, moments, strict=True):
        pictures = [
            _grid([slices_in_a_row(each, float(most)) for each, most in zip(filters, most_of_each, strict=True)])
            for filters, most_of_each in zip(convolutions, strongest, strict=True)
        ]
        frames.append(_frame(_moment(run, step), pictures))
    return _gif(frames)


def drawing_film(run: Run, image: Tensor) -> bytes:
    """Return what a run's network answered to an image over its training, as an animated GIF.

    Parameters
    ----------
    image
        Shape (1, 28, 28), float32, from 0 to 1, as the network is given it.

    Raises
    ------
    NoFilm, NoPredictions, UnreadableRun
        If there is none, or it cannot be read.
    """
    film = _film(run)
    drawing = Image.fromarray(((1 - image[0].numpy()) * 255).round().astype(np.uint8)).convert("RGB")
    drawing = drawing.resize((140, 140), Image.Resampling.NEAREST)
    frames = []
    for step, probabilities in zip(film.steps, film.probabilities(image).numpy(), strict=True):
        digit = int(probabilities.argmax())
        told = f"{_moment(run, step)}: {digit}, {percent(float(probabilities[digit]))}"
        frames.append(_frame(told, [_beside(drawing, _bars(probabilities))]))
    return _gif(frames)


def _film(run: Run) -> Film:
    film = film_of(run)
    if film is None:
        raise NoFilm(f"{run.name} has no snapshots of its weights, from which a film could be made.")
    return film


def _filters_after(film: Film, place: int) -> list[np.ndarray]:
    """Return the filters of each convolution at a moment: shape (filters, channels, height, width) each."""
    film.module.load_state_dict(film.states[place])
    return [weights[:_FILTERS_SHOWN, :_SLICES_SHOWN].numpy().copy() for weights in filters_of(film.module).values()]


def _moment(run: Run, step: int) -> str:
    return f"Step {step:,} of {run.total_steps:,}"


def _grid(pictures: list[np.ndarray]) -> Image.Image:
    """Return small pictures in rows, as many side by side as there is room for."""
    enlarged = [_on_paper(picture) for picture in pictures]
    width, height = enlarged[0].size
    columns = max(1, (_WIDTH - 2 * _MARGIN + _GAP) // (width + _GAP))
    rows = -(-len(enlarged) // columns)
    grid = Image.new("RGB", (columns * (width + _GAP) - _GAP, rows * (height + _GAP) - _GAP), _PAPER)
    for place, picture in enumerate(enlarged):
        row, column = divmod(place, columns)
        grid.paste(picture, (column * (width + _GAP), row * (height + _GAP)))
    return grid


def _on_paper(picture: np.ndarray) -> Image.Image:
    colors = Image.fromarray((picture * 255).round().astype(np.uint8), "RGBA")
    paper = Image.new("RGBA", colors.size, _PAPER)
    paper.alpha_composite(colors)
    size = colors.width * _PIXEL, colors.height * _PIXEL
    return paper.convert("RGB").resize(size, Image.Resampling.NEAREST)


def _bars(probabilities: np.ndarray) -> Image.Image:
    """Return ten bars with their digits below them."""
    width, height = 22, 118
    picture = Image.new("RGB", (DIGITS * width, height + _LINE), _PAPER)
    draw, most = ImageDraw.Draw(picture), int(probabilities.argmax())
    for digit, probability in enumerate(probabilities):
        left = digit * width
        color = _MOST_BAR if digit == most else _BAR
        draw.rectangle((left + 2, height - round(float(probability) * (height - 1)), left + width - 3, height), color)
        draw.text((left + width / 2, height + 4), str(digit), _INK, _font(14), anchor="mt")
    return picture


def _beside(left: Image.Image, right: Image.Image) -> Image.Image:
    both = Image.new("RGB", (left.width + _MARGIN + right.width, max(left.height, right.height)), _PAPER)
    both.paste(left, (0, 0))
    both.paste(right, (left.width + _MARGIN, 0))
    return both


def _frame(told: str, pictures: Iterable[Image.Image]) -> Image.Image:
    pictures = list(pictures)
    height = _MARGIN + _LINE + _GAP + sum(picture.height + _MARGIN for picture in pictures)
    frame = Image.new("RGB", (max(_WIDTH, *(2 * _MARGIN + each.width for each in pictures)), height), _PAPER)
    ImageDraw.Draw(frame).text((_MARGIN, _MARGIN - 2), told, _INK, _font(16))
    top = _MARGIN + _LINE + _GAP
    for picture in pictures:
        frame.paste(picture, (_MARGIN, top))
        top += picture.height + _MARGIN
    return frame


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _gif(frames: list[Image.Image]) -> bytes:
    content = io.BytesIO()
    durations = [_FRAME_MILLISECONDS] * (len(frames) - 1) + [_LAST_MILLISECONDS]
    frames[0].save(content, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return content.getvalue()
