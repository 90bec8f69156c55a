"""MNIST's images on a page."""

import base64
import html
import io
from collections.abc import Sequence

import numpy as np
import streamlit as st
from PIL import Image
from torch import Tensor

_STYLE = """
<style>
.digits { display: grid; grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)); gap: 1rem .75rem; }
.digits figure { margin: 0; }
.digits img { width: 4.2rem; image-rendering: pixelated; border-radius: .35rem; display: block; }
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


def picture_address(image: np.ndarray) -> str:
    """Return an address for an ``img`` that holds the picture itself; `image` as `png_of` takes it."""
    return f"data:image/png;base64,{base64.b64encode(png_of(image)).decode()}"


def png_of(image: np.ndarray) -> bytes:
    """Return a picture as a PNG file.

    Parameters
    ----------
    image
        Shape (height, width), from 0, black, to 1, white.
    """
    content = io.BytesIO()
    Image.fromarray((image * 255).round().astype(np.uint8)).save(content, "PNG")
    return content.getvalue()
