"""Digits that people drew, as somebody would have kept them among his own."""

from cnnlab.data.pen_digits import load_strokes
from cnnlab.drawing.my_digits import MyDigit
from cnnlab.drawing.strokes import Stroke


def own_digits(count: int, *, width: float = 18) -> list[MyDigit]:
    digits = load_strokes("testing").first(count)
    return [
        MyDigit(int(label), tuple(Stroke(width, tuple(map(tuple, each * 0.7 + 50))) for each in strokes))
        for label, strokes in zip(digits.labels, digits.strokes, strict=True)
    ]
