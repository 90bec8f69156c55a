"""A picture that somebody brings, a photo or a scan of one digit, as ink on the canvas."""

import io
import warnings
from contextlib import suppress

import numpy as np
from PIL import Image, ImageFilter, ImageOps, UnidentifiedImageError

from cnnlab.drawing.preparation import FAINT, ink
from cnnlab.drawing.strokes import CANVAS_SIDE
from cnnlab.errors import LabError

MOST_BYTES = 20_000_000
# A JPEG is decoded at an eighth of its size, the others as a whole: with so many, any takes less than 200 MB.
MOST_PIXELS = {"PNG": 24_000_000, "JPEG": 50_000_000, "WEBP": 24_000_000, "BMP": 24_000_000, "GIF": 24_000_000}
# A JPEG that appears step by step is held as a whole, and gone through once for each of its steps, usually ten.
_MOST_PROGRESSIVE_PIXELS = 24_000_000
_MOST_SCANS = 20
_START_OF_SCAN = b"\xff\xda"

# Where paper is unevenly lit, the ink of a place is what differs from the least ink around it. The neighbourhood must
# be wider than the thickest stroke. In pixels of a picture that is a quarter as large as the canvas.
_NEIGHBOURHOOD = 17


class UnreadablePicture(LabError):
    """A picture cannot be shown on the canvas."""


def picture_on_canvas(content: bytes) -> np.ndarray:
    """Return the ink of a picture, as large as the canvas allows. Uneven light and the grain of paper are left out.

    Parameters
    ----------
    content
        A PNG, JPEG, WebP, BMP or GIF file, of which the first picture counts. Dark on light or light on dark.

    Returns
    -------
    numpy.ndarray
        Shape (280, 280), float32, from 0, empty, to 1, full ink.

    Raises
    ------
    UnreadablePicture
        If it is none of these, is damaged, is too large, or shows nothing.
    """
    drawn = ink(_pixels(content))
    fitted = _in_a_square(drawn)
    border = np.concatenate([drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1]])
    if border.max() >= FAINT:  # else it was drawn on a screen, where there is no paper and no light
        fitted = _without_the_paper(fitted)
    if not fitted.any():
        raise UnreadablePicture("This picture shows nothing: it is of one colour. Choose one with a digit on it.")
    return fitted


def _pixels(content: bytes) -> np.ndarray:
    """Decode a picture, at most twice as large as the canvas; its size is looked at first."""
    if len(content) > MOST_BYTES:
        raise UnreadablePicture(
            f"This picture has {len(content) / 1e6:,.0f} MB; at most {MOST_BYTES / 1e6:.0f} MB are read. Make it "
            "smaller."
        )
    damaged = UnreadablePicture("This picture is damaged, or not all of it is there. Try another.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is lower
            image: Image.Image = Image.open(io.BytesIO(content), formats=list(MOST_PIXELS))
    except UnidentifiedImageError as error:
        raise UnreadablePicture(f"{_kind_of(content)} Choose a PNG, JPEG, WebP, BMP or GIF picture.") from error
    except Image.DecompressionBombError as error:
        raise _too_many_pixels("far more pixels than that", max(MOST_PIXELS.values())) from error
    except Exception as error:  # Pillow's readers raise whatever a damaged file makes of them
        raise damaged from error
    is_progressive = image.info.get("progressive")
    kind = image.format if image.format in MOST_PIXELS else "JPEG"  # MPO is a JPEG with more pictures behind it
    most_pixels = _MOST_PROGRESSIVE_PIXELS if is_progressive else MOST_PIXELS[kind]
    if image.width * image.height > most_pixels:
        raise _too_many_pixels(f"{image.width:,} × {image.height:,} pixels", most_pixels)
    if is_progressive and content.count(_START_OF_SCAN) > _MOST_SCANS:
        raise UnreadablePicture("This picture appears in more steps than can be read. Save it as a plain JPEG or PNG.")
    try:
        image.draft("RGB", (2 * CANVAS_SIDE, 2 * CANVAS_SIDE))  # a JPEG is decoded smaller at once
        image.load()
    except Exception as error:
        raise damaged from error
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off at 255
        bits = max(8, int(np.asarray(image).max()).bit_length())  # some cameras and scanners use 10 or 12 of the 16
        image = image.point(lambda level: level / 2 ** (bits - 8)).convert("L")
    if image.mode in ("1", "P"):  # whose pixels cannot be averaged
        image = image.convert("RGBA")
    image = image.reduce(max(1, max(image.size) // (2 * CANVAS_SIDE)))
    with suppress(Exception):  # what a camera says of how it was held may be damaged where the picture is not
        image = ImageOps.exif_transpose(image)
    image = image.convert("RGBA")
    image.thumbnail((2 * CANVAS_SIDE, 2 * CANVAS_SIDE), Image.Resampling.BOX)
    return np.asarray(image)


def _kind_of(content: bytes) -> str:
    """Say what a file is that the lab does not read."""
    for start, offset, kind in _OTHER_KINDS:
        if content[offset:].startswith(start):
            return f"This is {kind}, which the lab does not read: save it as a JPEG."
    return "This file is no picture that the lab reads."


# How files of other kinds begin, and where.
_OTHER_KINDS = (
    *((brand, 8, "a HEIC picture, as phones take them") for brand in (b"heic", b"heix", b"mif1", b"heim", b"hevc")),
    (b"avif", 8, "an AVIF picture"),
    (b"II*\0", 0, "a TIFF picture"),
    (b"MM\0*", 0, "a TIFF picture"),
    (b"%PDF", 0, "a PDF document"),
    (b"<svg", 0, "an SVG drawing"),
    (b"<?xml", 0, "an XML file, as SVG drawings are"),
)


def _too_many_pixels(size: str, most: int) -> UnreadablePicture:
    return UnreadablePicture(f"This picture has {size}; at most {most / 1e6:.0f} million are read. Make it smaller.")


def _in_a_square(drawn: np.ndarray) -> np.ndarray:
    """Fit a picture's ink into the canvas, its aspect kept."""
    fitted = ImageOps.contain(Image.fromarray(drawn), (CANVAS_SIDE, CANVAS_SIDE), Image.Resampling.BILINEAR)
    square = np.zeros((CANVAS_SIDE, CANVAS_SIDE), np.float32)
    top, left = (CANVAS_SIDE - fitted.height) // 2, (CANVAS_SIDE - fitted.width) // 2
    square[top : top + fitted.height, left : left + fitted.width] = np.asarray(fitted)
    return square


def _without_the_paper(drawn: np.ndarray) -> np.ndarray:
    """Take away how the paper is lit, and what is fainter than half of what separates ink from paper."""
    small = Image.fromarray(drawn).resize((CANVAS_SIDE // 4, CANVAS_SIDE // 4), Image.Resampling.BOX)
    light = _filtered(small, ImageFilter.MinFilter(_NEIGHBOURHOOD))
    light = light.resize((CANVAS_SIDE, CANVAS_SIDE), Image.Resampling.BILINEAR)
    uneven = (drawn - np.asarray(light)).clip(min=0)
    if not uneven.any():
        return uneven
    least = _separating_level(uneven) / 2
    clean = (uneven - least).clip(min=0) / max(np.quantile(uneven[uneven > least], 0.9) - least, 1e-6)
    return clean.clip(max=1).astype(np.float32)


def _filtered(image: Image.Image, kind: ImageFilter.MinFilter) -> Image.Image:
    """Apply a filter that Pillow has for bytes alone."""
    filtered = Image.fromarray((np.asarray(image) * 255).astype(np.uint8)).filter(kind)
    smooth = filtered.filter(ImageFilter.GaussianBlur(_NEIGHBOURHOOD / 4))
    return Image.fromarray(np.asarray(smooth, np.float32) / 255)


def _separating_level(grey: np.ndarray) -> float:
    """Return the level that separates the dark pixels from the light ones best.

    References
    ----------
    N. Otsu (1979), A threshold selection method from gray-level histograms.
    """
    counts, edges = np.histogram(grey, bins=128, range=(0, 1))
    levels = (edges[:-1] + edges[1:]) / 2
    below, mass = np.cumsum(counts), np.cumsum(counts * levels)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (mass / below - (mass[-1] - mass) / above) ** 2
    return float(edges[1:][np.nanargmax(between)])
