"""The canvas that one draws on. What is on it stays there when one goes to another page and comes back."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st
from streamlit_drawable_canvas import st_canvas

from cnnlab.drawing.strokes import CANVAS_SIDE, INK_COLOR, PAPER_COLOR, Stroke, ink_of, strokes_on
from cnnlab.ui.frame.pictures import png_of
from cnnlab.ui.frame.session import Key

if TYPE_CHECKING:  # it imports SciPy, which is for photos alone
    from cnnlab.drawing.photos import PictureSteps

# On the screen, in pixels: what is drawn is kept as if it were `CANVAS_SIDE` wide.
SHOWN_SIDE = 336
_SCALE = CANVAS_SIDE / SHOWN_SIDE
# The component's own tools slide in above it, with modes that have no use here: Undo and Clear stand below it instead.
# Keeps the place while the canvas is made again.
_STYLE = f"""<style>
.st-key-canvas_frame {{ height: {SHOWN_SIDE}px; overflow: clip; }}
@media (max-width: 359px) {{ .st-key-canvas_frame {{ zoom: .8; }} }}
</style>"""

_EMPTY: dict[str, Any] = {"objects": []}


@dataclass(frozen=True)
class Picture:
    """A picture on the canvas, below what is drawn.

    Attributes
    ----------
    ink
        Shape (280, 280), from 0, empty, to 1, full ink.
    title
        What it shows, in a few words.
    steps
        Of one that was uploaded: how its ink was found.
    """

    ink: np.ndarray
    title: str
    steps: "PictureSteps | None" = None


@dataclass(frozen=True)
class Drawing:
    """What is on the canvas.

    Attributes
    ----------
    strokes
        Those drawn by hand.
    picture
        What they were drawn on, or None for empty paper.
    """

    strokes: tuple[Stroke, ...]
    picture: Picture | None

    def ink(self) -> np.ndarray:
        """Return the ink of the whole canvas: shape (280, 280), float32, from 0, empty, to 1, full ink."""
        return ink_of(self.strokes, self.picture.ink if self.picture else None)


def canvas(stroke_width: int) -> Drawing:
    """Show the canvas, with what is on it.

    The component sends what was drawn and is given where to start from; given anything else later, it would load that
    and forget its strokes. So what it starts from changes only with its key.
    """
    if _key() not in st.session_state:  # one comes back from another page
        st.session_state[Key.CANVAS_START] = st.session_state.get(Key.CANVAS_NOW, _EMPTY)
    picture: Picture | None = st.session_state.get(Key.CANVAS_PICTURE)
    st.html(_STYLE)
    with st.container(key="canvas_frame", width=SHOWN_SIDE):
        drawn = st_canvas(
            stroke_width=round(stroke_width / _SCALE),
            stroke_color=PAPER_COLOR if st.session_state.get(_eraser_key()) else INK_COLOR,
            background_color=PAPER_COLOR,
            background_image=png_of(_as_shown(1 - picture.ink)) if picture else None,
            initial_drawing=st.session_state[Key.CANVAS_START],
            width=SHOWN_SIDE,
            height=SHOWN_SIDE,
            key=_key(),
        )
    st.session_state[Key.CANVAS_NOW] = drawn.json_data
    return Drawing(_kept(drawn.json_data), picture)


def canvas_tools() -> None:
    """Show the buttons below the canvas: undo, clear, and the eraser, which is the other end of the pen."""
    st.button("Undo", on_click=_undo_stroke)
    st.button("Clear", on_click=clear_canvas)
    st.toggle("Eraser", key=_eraser_key())


def drawing_now() -> Drawing:
    """Return what is on the canvas, for a callback: the newest strokes may not have been shown to the page yet."""
    return Drawing(_kept(_newest()), st.session_state.get(Key.CANVAS_PICTURE))


def _kept(canvas: dict[str, Any] | None) -> tuple[Stroke, ...]:
    """Return the strokes on the canvas, in the measure in which they are kept."""
    return tuple(
        Stroke(stroke.width * _SCALE, tuple((x * _SCALE, y * _SCALE) for x, y in stroke.points), stroke.erases)
        for stroke in strokes_on(canvas)
    )


def _as_shown(picture: np.ndarray) -> np.ndarray:
    """Return a picture in the size of the canvas on the screen; each new pixel is the nearest old one."""
    places = (np.arange(SHOWN_SIDE) * _SCALE).astype(int)
    return picture[places][:, places]


def clear_canvas() -> None:
    """Take everything off the canvas."""
    put_on_canvas(None)


def _undo_stroke() -> None:
    """Take the last stroke off the canvas; with no stroke left, the picture below."""
    if objects := (_newest() or _EMPTY)["objects"]:
        erases = st.session_state.get(_eraser_key(), False)
        _start_from({"objects": objects[:-1]})
        st.session_state[_eraser_key()] = erases
    else:
        clear_canvas()


def put_on_canvas(picture: Picture | None) -> None:
    """Take everything off the canvas, and put a picture on it that can be drawn on: it stands in the centre."""
    st.session_state.pop(Key.MOVE, None)
    st.session_state[Key.CANVAS_PICTURE] = picture
    _start_from(_EMPTY)


def _newest() -> dict[str, Any] | None:
    sent = st.session_state.get(_key())
    drawing = sent.get("drawing") if sent else None
    return drawing["raw"] if drawing else st.session_state.get(Key.CANVAS_NOW)


def _start_from(canvas: dict[str, Any]) -> None:
    """Give the canvas another key, which makes a new one."""
    st.session_state[Key.CANVAS_NUMBER] = st.session_state.get(Key.CANVAS_NUMBER, 0) + 1
    st.session_state[Key.CANVAS_START] = st.session_state[Key.CANVAS_NOW] = canvas


def _key() -> str:
    return f"canvas_{st.session_state.get(Key.CANVAS_NUMBER, 0)}"


def _eraser_key() -> str:
    """Return the key of the eraser's switch: on an empty canvas, one draws."""
    return f"{Key.ERASES}_{st.session_state.get(Key.CANVAS_NUMBER, 0)}"
