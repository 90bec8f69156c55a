"""Small pictures of which one, and a pixel in it, is chosen by a click or by the arrow keys."""

from collections.abc import Callable, Sequence

import numpy as np
import streamlit as st

from cnnlab.engine.scripts import joined
from cnnlab.ui.frame.pictures import picture_address

_CSS = """
.sheet { display: flex; flex-wrap: wrap; gap: .3rem .35rem; }
button { all: unset; cursor: pointer; width: var(--width); max-width: 100%; color: var(--st-text-color); }
div { position: relative; line-height: 0; }
img { width: 100%; image-rendering: pixelated; border-radius: .15rem; display: block; }
i { position: absolute; box-sizing: border-box; outline: 2px solid var(--st-text-color); outline-offset: 0; }
i[hidden] { display: none; }
span { font: .7rem/1.2 var(--st-font); opacity: .8; display: block; text-align: center; }
span:empty { display: none; }
button:hover img { filter: brightness(1.15); }
button[aria-pressed="true"] img { outline: 2px solid var(--st-primary-color); outline-offset: 1px; }
button:focus-visible img { outline: 3px solid var(--st-primary-color); outline-offset: 1px; }
"""
_component = st.components.v2.component(
    "cnnlab_sheet", html='<div class="sheet" role="group"></div>', css=_CSS, js=joined("sheet")
)


def picture_sheet(
    pictures: Sequence[np.ndarray],
    captions: Sequence[str],
    *,
    label: str,
    key: str,
    chosen: tuple[int, int, int],
    on_choose: Callable[[int, int, int], None],
    width: float,
    marks_pixels: bool = False,
) -> None:
    """Show pictures of one size, of which one is chosen.

    Parameters
    ----------
    pictures
        Each as `cnnlab.ui.frame.pictures.png_of` takes it.
    captions
        A short line for each, or an empty one.
    label
        What each of them is, read out with its number.
    chosen
        The picture, and the row and the column of its pixel.
    on_choose
        Called with another such choice.
    width
        Of each picture, in rem: the size of the page's text.
    marks_pixels
        Whether the pixel matters too, and is framed.
    """
    rows, columns = pictures[0].shape[:2]
    shown = [
        {"address": picture_address(picture), "caption": caption}
        for picture, caption in zip(pictures, captions, strict=True)
    ]
    _component(
        key=key,
        data={
            "pictures": shown,
            "label": label,
            "rows": rows,
            "columns": columns,
            "chosen": list(chosen),
            "width": width,
            "marks_pixels": marks_pixels,
        },
        height="content",
        on_chosen_change=lambda: on_choose(*(int(each) for each in st.session_state[key]["chosen"])),
    )
