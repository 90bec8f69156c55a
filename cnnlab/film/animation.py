"""A film as an animated GIF: a network's filters, or its answers to one image, from moment to moment."""

import io
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from cnnlab.charts.shading import slices_in_a_row
from cnnlab.inference.test_set import DIGITS
from cnnlab.wording import percent

# More would make a film that is too large to send.
_CONVOLUTIONS_SHOWN, _FILTERS_SHOWN, _SLICES_SHOWN = 4, 32, 8
_FRAME_MILLISECONDS, _LAST_MILLISECONDS = 250, 2_500
_PIXEL, _GAP, _MARGIN, _WIDTH, _LINE = 6, 8, 16, 420, 22
_PAPER, _INK, _BAR, _MOST_BAR = "#ffffff", "#1c2330", "#b9c0cc", "#2f5bea"


def filters_film(steps: Sequence[int], moments: Sequence[Sequence[np.ndarray]], total_steps: int) -> bytes:
    """Return the filters of a network over its training, as an animated GIF.

    The fullest colour of a filter is the largest weight that is shown of it at any moment.

    Parameters
    ----------
    steps, moments
        As `cnnlab.film.moments.filters_over_training` returns them; the network has a convolution.
    total_steps
        Of the whole training.
    """
    shown = [
        [filters[:_FILTERS_SHOWN, :_SLICES_SHOWN] for filters in convolutions[:_CONVOLUTIONS_SHOWN]]
        for convolutions in moments
    ]
    strongest = [np.abs(np.stack(each)).max(axis=(0, 2, 3, 4)) for each in zip(*shown, strict=True)]

    def pictures(convolutions: Sequence[np.ndarray]) -> list[Image.Image]:
        return [
            _grid([slices_in_a_row(each, float(most)) for each, most in zip(filters, most_of_each, strict=True)])
            for filters, most_of_each in zip(convolutions, strongest, strict=True)
        ]

    return _gif(
        (_frame(_moment(step, total_steps), pictures(each)) for step, each in zip(steps, shown, strict=True)),
        len(steps),
    )


def drawing_film(image: np.ndarray, answers: pd.DataFrame, total_steps: int) -> bytes:
    """Return what a network answered to an image over its training, as an animated GIF.

    Parameters
    ----------
    image
        Shape (28, 28), from 0 to 1, as the network was given it.
    answers
        As `cnnlab.film.moments.answers_over_training` returns them.
    total_steps
        Of the whole training.
    """
    drawing = Image.fromarray(((1 - image) * 255).round().astype(np.uint8)).convert("RGB")
    drawing = drawing.resize((140, 140), Image.Resampling.NEAREST)
    moments = [(rows["step"].iloc[0], rows["probability"].to_numpy()) for _, rows in answers.groupby("step")]

    def frame(step: int, probabilities: np.ndarray) -> Image.Image:
        digit = int(probabilities.argmax())
        told = f"{_moment(step, total_steps)}: {digit}, {percent(float(probabilities[digit]))}"
        return _frame(told, [_beside(drawing, _bars(probabilities))])

    return _gif((frame(*moment) for moment in moments), len(moments))


def _moment(step: int, total_steps: int) -> str:
    return f"Step {step:,} of {total_steps:,}"


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


def _frame(told: str, pictures: Sequence[Image.Image]) -> Image.Image:
    height = _MARGIN + _LINE + _GAP + sum(picture.height + _MARGIN for picture in pictures)
    width = max([_WIDTH, *(2 * _MARGIN + each.width for each in pictures)])
    frame = Image.new("RGB", (width, height), _PAPER)
    ImageDraw.Draw(frame).text((_MARGIN, _MARGIN - 2), told, _INK, _font(16))
    top = _MARGIN + _LINE + _GAP
    for picture in pictures:
        frame.paste(picture, (_MARGIN, top))
        top += picture.height + _MARGIN
    return frame


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _gif(frames: Iterator[Image.Image], count: int) -> bytes:
    """Return frames, which are drawn one by one, as a film that is shown again and again."""
    content = io.BytesIO()
    durations = [_FRAME_MILLISECONDS] * (count - 1) + [_LAST_MILLISECONDS]
    next(frames).save(content, "GIF", save_all=True, append_images=frames, duration=durations, loop=0)
    return content.getvalue()
