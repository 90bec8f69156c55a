"""MNIST's images, and other small pictures, on a page."""

import base64
import html
import io
from collections.abc import Callable, Sequence

import numpy as np
import streamlit as st
from PIL import Image
from torch import Tensor

from cnnlab.ui.frame.wording import as_text

_STYLE = """
<style>
.digits { display: grid; grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)); gap: 1rem .75rem; }
.digits figure { margin: 0; }
.digits img { width: 4.2rem; image-rendering: pixelated; border-radius: .35rem; display: block; }
[class*="st-key-digits_"] {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(6.6rem, 1fr)); gap: 1rem .6rem;
}
[class*="st-key-digits_"] button { padding: 0; min-height: 0; text-align: left; }
[class*="st-key-digits_"] button p { font-size: .8rem; line-height: 1.35; }
[class*="st-key-digits_"] button img {
  display: block; width: 4.2rem; height: 4.2rem; max-height: none; object-fit: fill; image-rendering: pixelated;
  border-radius: .35rem; margin-bottom: .3rem;
}
[class*="st-key-digits_"] button:hover img { outline: 2px solid currentColor; outline-offset: 1px; }
.pictures { display: flex; flex-wrap: wrap; row-gap: .6rem; }
.pictures figure { margin: 0; max-width: 100%; }
.pictures img { width: 100%; image-rendering: pixelated; border-radius: .2rem; display: block; }
.pictures figcaption { font-size: .75rem; line-height: 1.3; opacity: .75; font-variant-numeric: tabular-nums; }
.digits figcaption { font-size: .8rem; line-height: 1.35; padding-top: .3rem; overflow-wrap: anywhere; }
</style>
"""


def digit_gallery(images: Tensor, captions: Sequence[Sequence[str]]) -> None:
    """Show images in rows, each with lines of text below it.

    Parameters
    ----------
    images
        Shape (N, 1, 28, 28), from 0 to 1.
    captions
        The lines below each image.
    """
    figures = []
    for image, lines in zip(images, captions, strict=True):
        shown = "<br>".join(html.escape(line) for line in lines)
        alternative = html.escape(lines[0])
        source = picture_address(image.squeeze(0).numpy())
        figures.append(f'<figure><img src="{source}" alt="{alternative}"><figcaption>{shown}</figcaption></figure>')
    st.html(f'{_STYLE}<div class="digits">{"".join(figures)}</div>')


def digit_buttons(
    images: Tensor,
    captions: Sequence[Sequence[str]],
    indices: Sequence[int],
    *,
    key: str,
    on_click: Callable[[int], None],
) -> None:
    """Show images as `digit_gallery` does, each of them a button. A click runs the whole page again.

    Parameters
    ----------
    indices
        What `on_click` is given of the image that is clicked.
    """
    st.html(_STYLE)
    with st.container(key=f"digits_{key}"):
        for image, lines, index in zip(images, captions, indices, strict=True):
            label = f"![]({picture_address(image.squeeze(0).numpy())})" + "  \n".join(map(as_text, lines))
            if st.button(label, key=f"{key}_{index}", type="tertiary", on_click=on_click, args=(index,)):
                st.rerun()


def picture_rows(pictures: Sequence[np.ndarray], captions: Sequence[str], *, width: float) -> None:
    """Show small pictures in rows, each with a line of text below it.

    Parameters
    ----------
    pictures
        Each as `png_of` takes it.
    width
        Of each picture, in rem: the size of the page's text.
    """
    figures = [
        f'<figure style="width: {width:g}rem"><img src="{picture_address(picture)}" alt="">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        for picture, caption in zip(pictures, captions, strict=True)
    ]
    st.html(f'{_STYLE}<div class="pictures" style="column-gap: {max(0.75, width / 10):g}rem">{"".join(figures)}</div>')


def picture_address(image: np.ndarray) -> str:
    """Return an address for an ``img`` that holds the picture itself; `image` as `png_of` takes it."""
    return f"data:image/png;base64,{base64.b64encode(png_of(image)).decode()}"


def png_of(image: np.ndarray) -> bytes:
    """Return a picture as a PNG file.

    Parameters
    ----------
    image
        Shape (height, width), from 0, black, to 1, white; or (height, width, 4): red, green, blue and opacity.
    """
    content = io.BytesIO()
    Image.fromarray((image * 255).round().astype(np.uint8)).save(content, "PNG")
    return content.getvalue()
