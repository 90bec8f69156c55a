"""A picture that somebody brings, a photo or a scan of one digit, as ink on the canvas."""

import io
import warnings
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy import ndimage

from cnnlab.drawing.paper import darkness, is_light_on_dark, light_on, printed_lines, rims, separating_level
from cnnlab.drawing.pieces import digits_in
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

_DIGIT_SIDE = 200  # of a photographed digit on the canvas, in pixels
_SMALLEST_DIGIT, _SMALLEST_DRAWN = 0.07, 0.03  # of the longer side of a photo, and of a drawing on a screen
_LARGEST_BLOT = 0.4  # of a picture of one colour: more is a sheet of paper on something else
_FAINTEST = 0.1  # ink that swallows less of the light is not told from paper


class UnreadablePicture(LabError):
    """A picture cannot be shown on the canvas."""


class SeveralDigits(UnreadablePicture):
    """A picture shows more than one digit: so many."""

    def __init__(self, count: int) -> None:
        super().__init__(f"This picture shows {count} digits, and one is read at a time. Cut out the one you mean.")
        self.count = count


@dataclass(frozen=True)
class PictureSteps:
    """The steps from a picture to ink on the canvas. All are float32.

    Attributes
    ----------
    ink
        Shape (280, 280), from 0, empty, to 1, full ink.
    seen, light, kept
        Of a photo, else None. Shape (height, width), from 0 to 1: its grey, the paper or board alone, and the ink of
        its digit.
    """

    ink: np.ndarray
    seen: np.ndarray | None = None
    light: np.ndarray | None = None
    kept: np.ndarray | None = None


def picture_on_canvas(content: bytes) -> np.ndarray:
    """Return the ink of a picture's digit on the canvas: shape (280, 280). See `picture_steps`."""
    return picture_steps(content).ink


def picture_steps(content: bytes) -> PictureSteps:
    """Return the ink of a picture's digit, and how it was found.

    What was drawn on a screen, where the border is of one colour, is made as large as the canvas allows. Of a photo or
    a scan, uneven light is left out and so is what is no digit: lines of the paper, what touches the edge, specks.

    Parameters
    ----------
    content
        A PNG, JPEG, WebP, BMP or GIF file, of which the first picture counts. Dark on light or light on dark.

    Raises
    ------
    UnreadablePicture
        If it is none of these, is damaged, is too large, or shows no digit.
    SeveralDigits
        If it shows more than one.
    """
    pixels = _pixels(content)
    drawn = ink(pixels)
    if not drawn.any():
        raise UnreadablePicture("This picture shows nothing: it is of one colour. Choose one with a digit on it.")
    border = np.concatenate([drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1]])
    return _photographed(pixels) if border.max() >= FAINT else _drawn(drawn, pixels)


def _drawn(drawn: np.ndarray, pixels: np.ndarray) -> PictureSteps:
    """Take what lies beside the digit off a drawing. Most are nothing but a digit, and stay as they are."""
    is_ink = drawn >= FAINT
    digits = digits_in(is_ink)
    if digits.largest < _SMALLEST_DRAWN * max(drawn.shape):
        raise _none()
    if not digits.masks:  # a blot, or a sheet that lies on something of one colour
        with suppress(UnreadablePicture):
            return _photographed(pixels)
        if (drawn > 0.5).mean() > _LARGEST_BLOT:
            raise _none()
    if len(digits.masks) > 1:
        raise SeveralDigits(len(digits.masks))
    if digits.masks and (beside := is_ink & ~digits.masks[0]).any():
        drawn = np.where(ndimage.binary_dilation(beside, iterations=2), np.float32(0), drawn)
    return PictureSteps(_in_a_square(drawn))


def _photographed(pixels: np.ndarray) -> PictureSteps:
    """Find the ink of the one digit in a photo: RGBA, shape (height, width, 4)."""
    seen = pixels[..., :3].astype(np.float32) / 255
    is_board = is_light_on_dark(seen.mean(axis=2))
    paper = 1 - seen if is_board else seen
    light = light_on(paper)
    dark = darkness(paper, light)
    grain = 1.4826 * float(np.median(np.abs(dark - np.median(dark))))
    least = max(_FAINTEST, separating_level(dark) / 2, float(np.median(dark)) + 5 * grain)
    smooth = ndimage.gaussian_filter(dark, 0.7)
    is_ink = smooth >= least
    is_line = printed_lines(is_ink)
    is_ink &= ~is_line
    smallest = _SMALLEST_DIGIT * max(is_ink.shape)
    is_ink &= ~rims(is_ink, paper.mean(axis=2), smallest)
    digits = digits_in(is_ink, smallest)
    if not digits.masks:
        raise _none(digits.touched_edge)
    if len(digits.masks) > 1:
        raise SeveralDigits(len(digits.masks))
    (mask,) = digits.masks
    clean = (dark - least) / max(float(np.quantile(dark[mask], 0.8)) - least, 1e-6)
    kept = np.where(ndimage.binary_dilation(mask) & (mask | ~is_line), clean.clip(0, 1), 0).astype(np.float32)
    background = 1 - light if is_board else light
    return PictureSteps(_large(kept), seen.mean(axis=2), background.mean(axis=2), kept)


def _none(touched_edge: bool = False) -> UnreadablePicture:
    if touched_edge:
        return UnreadablePicture(
            "No digit was found in this picture: what is large enough touches its edge. Leave some paper around the "
            "digit."
        )
    return UnreadablePicture("No digit was found in this picture. Write one large and dark, and go nearer.")


def _large(kept: np.ndarray) -> np.ndarray:
    """Put a digit into the middle of the canvas, as large as one draws there."""
    rows, columns = np.flatnonzero(kept.any(axis=1)), np.flatnonzero(kept.any(axis=0))
    digit = Image.fromarray(kept[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    fitted = ImageOps.contain(digit, (_DIGIT_SIDE, _DIGIT_SIDE), Image.Resampling.BICUBIC)
    return _in_the_middle(np.asarray(fitted).clip(0, 1))


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
    return _in_the_middle(np.asarray(fitted))


def _in_the_middle(fitted: np.ndarray) -> np.ndarray:
    canvas = np.zeros((CANVAS_SIDE, CANVAS_SIDE), np.float32)
    height, width = fitted.shape
    top, left = (CANVAS_SIDE - height) // 2, (CANVAS_SIDE - width) // 2
    canvas[top : top + height, left : left + width] = fitted
    return canvas
