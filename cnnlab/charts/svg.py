"""Curves as SVG, for files that open without a script."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

_WIDTH, _HEIGHT = 760, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 12, 12, 44
_MOST_TICKS = 11


@dataclass(frozen=True)
class Line:
    """A curve.

    Attributes
    ----------
    name, color
        What it is called, and its colour in CSS.
    points
        Its places and values; values are above 0.
    is_dotted
        Whether it is something to hold others against.
    """

    name: str
    color: str
    points: Sequence[tuple[float, float]]
    is_dotted: bool = False


def line_chart(lines: Sequence[Line], *, x_title: str, y_title: str) -> str:
    """Return curves over each other as an ``svg`` element, with a logarithmic axis for the values.

    All that comes from outside is escaped.
    """
    drawn = [line for line in lines if line.points]
    if not drawn:
        return ""
    end = max(place for line in drawn for place, _ in line.points)
    values = [value for line in drawn for _, value in line.points]
    bottom, top = floor(3 * log10(min(values))) / 3, ceil(3 * log10(max(values))) / 3
    top += bottom == top

    def x(place: float) -> float:
        return _LEFT + place / end * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _TOP + (top - log10(value)) / (top - bottom) * (_HEIGHT - _TOP - _BOTTOM)

    ticks = [digit * 10.0**power for power in range(floor(bottom), ceil(top) + 1) for digit in (1, 2, 5)]
    parts = [_grid_line(y(tick), f"{tick:g}") for tick in ticks if bottom <= log10(tick) <= top]
    step = max(1, ceil(end / (_MOST_TICKS - 1)))
    for place in range(0, floor(end) + 1, step):
        parts.append(f'<text x="{x(place):.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{place}</text>')
    for line in drawn:
        path = " ".join(f"{x(place):.1f},{y(value):.1f}" for place, value in line.points)
        dots = ' stroke-dasharray="2 4"' if line.is_dotted else ""
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{escape(line.color)}" stroke-width="2"{dots}>'
            f"<title>{escape(line.name)}</title></polyline>"
        )
        if not line.is_dotted:
            parts += [
                f'<circle cx="{x(place):.1f}" cy="{y(value):.1f}" r="3" fill="{escape(line.color)}">'
                f"<title>{escape(line.name)}: {value:.4f}</title></circle>"
                for place, value in line.points
            ]
    parts.append(f'<text x="{(_LEFT + _WIDTH) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(x_title)}</text>')
    parts.append(
        f'<text transform="translate(14 {_HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(y_title)}</text>'
    )
    title = f"{y_title} over {x_title} of {', '.join(line.name for line in drawn)}"
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'


def _grid_line(height: float, label: str) -> str:
    return (
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{height:.1f}" y2="{height:.1f}" class="grid"/>'
        f'<text x="{_LEFT - 6}" y="{height + 4:.1f}" text-anchor="end">{label}</text>'
    )
