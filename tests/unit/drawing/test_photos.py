import io
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from truth import moments

from cnnlab.drawing import photos as pictures
from cnnlab.drawing.photos import UnreadablePicture, picture_on_canvas
from cnnlab.drawing.preparation import prepare
from cnnlab.drawing.strokes import Stroke, ink_of
from cnnlab.inference.answers import answers_of
from cnnlab.runs.shelf import find_run

SEVEN = (Stroke(16, ((70.0, 70.0), (200.0, 70.0), (190.0, 90.0), (150.0, 160.0), (120.0, 240.0))),)


def file_of(pixels, kind="PNG", **options):
    content = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(content, kind, **options)
    return content.getvalue()


def scan(width=280, height=280):
    paper = 255 - np.round(ink_of(SEVEN) * 255).astype(np.uint8)
    return np.asarray(Image.fromarray(paper).resize((width, height)))


def photo():
    """Return a digit on paper that is lit from one corner, with grain and a soft shadow: shape (600, 800, 3), uint8."""
    chance = np.random.default_rng(0)
    ink = np.asarray(Image.fromarray(ink_of(SEVEN)).resize((600, 600)))
    ink = np.pad(ink, ((0, 0), (100, 100)))
    down, right = np.mgrid[0:600, 0:800] / 800
    light = 235 - 110 * down - 60 * right
    pixels = light * (1 - 0.75 * ink) + chance.normal(0, 4, ink.shape)
    return np.dstack([pixels, pixels * 0.97, pixels * 0.9]).clip(0, 255).astype(np.uint8)


def digit_read(ink):
    return answers_of(find_run("reference-module"), prepare(ink).centred[None])[0].digit


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_scan_is_read(kind):
    ink = picture_on_canvas(file_of(scan(), kind))
    assert ink.shape == (280, 280)
    assert ink.dtype == np.float32
    assert digit_read(ink) == 7
    assert np.abs(prepare(ink).centred - prepare(scan()).centred).mean() < 0.03


def test_an_unevenly_lit_photo_is_read_and_its_paper_is_empty():
    ink = picture_on_canvas(file_of(photo(), "JPEG", quality=80))
    assert digit_read(ink) == 7
    assert (ink == 0).mean() > 0.7


@pytest.mark.parametrize("size", [(1000, 400), (400, 1000), (3000, 3000), (40, 30)])
def test_a_picture_of_any_shape_keeps_its_aspect(size):
    blob = np.full(size[::-1], 255, np.uint8)
    height, width = blob.shape
    side = min(size) // 2
    blob[height // 2 - side // 2 : height // 2 + side // 2, width // 2 - side // 2 : width // 2 + side // 2] = 0
    rows, columns = np.nonzero(picture_on_canvas(file_of(blob)) > 0.5)
    assert np.ptp(rows) == pytest.approx(np.ptp(columns), abs=6)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_pngs_of_all_kinds_are_read(mode):
    image = Image.fromarray(scan())
    if mode == "I;16":
        image = Image.fromarray(scan().astype(np.uint16) * 257)
    assert digit_read(picture_on_canvas(file_of(image if mode == "I;16" else image.convert(mode)))) == 7


def test_a_jpeg_in_print_colours_is_read():
    assert digit_read(picture_on_canvas(file_of(Image.fromarray(scan()).convert("CMYK"), "JPEG"))) == 7


def test_a_photo_is_turned_as_its_camera_was():
    turned = Image.fromarray(scan()).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # the top is on the right
    assert digit_read(picture_on_canvas(file_of(turned, "JPEG", exif=exif))) == 7


@pytest.mark.parametrize("kind", ["GIF", "BMP", "WEBP"])
def test_what_phones_and_browsers_save_is_read(kind):
    assert digit_read(picture_on_canvas(file_of(scan(), kind))) == 7


def test_of_a_film_the_first_picture_is_read():
    film = io.BytesIO()
    blank = Image.new("L", (280, 280), 255)
    Image.fromarray(scan()).save(film, "GIF", save_all=True, append_images=[blank, blank])
    assert digit_read(picture_on_canvas(film.getvalue())) == 7


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\0\0\0\x18ftypheic" + bytes(40), "This is a HEIC picture, as phones take them, which the lab does not read"),
        (b"\0\0\0\x18ftypavif" + bytes(40), "This is an AVIF picture"),
        (file_of(scan(), "TIFF"), "This is a TIFF picture"),
        (b"%PDF-1.7", "This is a PDF document"),
        (b"<svg/>", "This is an SVG drawing"),
        (b"text", "This file is no picture that the lab reads. Choose a PNG, JPEG, WebP, BMP or GIF picture."),
    ],
)
def test_of_other_kinds_it_is_said_what_they_are(content, told):
    with pytest.raises(UnreadablePicture, match=told):
        picture_on_canvas(content)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_a_grey_picture_may_use_any_of_its_16_bits(bits):
    levels = (scan().astype(np.uint32) * (2**bits - 1) // 255).astype(np.uint16)
    assert digit_read(picture_on_canvas(file_of(levels))) == 7


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_picture_that_breaks_off_is_refused(kind, share):
    content = file_of(photo(), kind)
    with pytest.raises(UnreadablePicture):
        picture_on_canvas(content[: int(len(content) * share)])


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
def test_what_is_no_picture_is_refused(content):
    with pytest.raises(UnreadablePicture):
        picture_on_canvas(content)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_damaged_words_about_the_camera_leave_the_picture_as_it_is(kind):
    content = io.BytesIO()
    picture = Image.new("L", (280, 280), 255)
    picture.paste(0, (130, 40, 150, 240))
    picture.save(content, kind, exif=b"Exif\0\0II*\0")
    assert picture_on_canvas(content.getvalue()).max() == pytest.approx(1, abs=0.05)


def test_too_many_bytes_or_pixels_are_refused_before_anything_is_decoded(monkeypatch):
    with pytest.raises(UnreadablePicture, match="21 MB"):
        picture_on_canvas(bytes(21_000_000))
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("the picture was decoded"))
    with pytest.raises(UnreadablePicture, match="10,000 × 6,000 pixels"):
        picture_on_canvas(png_that_says(10_000, 6_000))
    with pytest.raises(UnreadablePicture, match="pixels than that"):
        picture_on_canvas(png_that_says(60_000, 60_000))


def png_that_says(width, height):
    """Return the start of a PNG file that says how large it is, and holds little."""
    import struct
    import zlib

    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(1000))
    chunks = [struct.pack(">I", len(each) - 4) + each + struct.pack(">I", zlib.crc32(each)) for each in (header, data)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_a_picture_of_one_colour_shows_nothing():
    with pytest.raises(UnreadablePicture, match="shows nothing"):
        picture_on_canvas(file_of(np.full((50, 50), 200, np.uint8)))


@given(st.binary(max_size=300), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"]))
def test_any_bytes_are_refused(content, start):
    with pytest.raises(UnreadablePicture):
        picture_on_canvas(start + content)


def test_a_jpeg_with_more_pictures_behind_it_is_read_as_its_first():
    picture = Image.fromarray(scan()).convert("RGB")
    assert digit_read(picture_on_canvas(file_of(picture, "MPO", save_all=True, append_images=[picture]))) == 7


def test_a_jpeg_that_appears_in_too_many_steps_is_refused():
    content = file_of(scan(), "JPEG", progressive=True)
    last_step = content[content.rindex(b"\xff\xda") : -2]
    picture_on_canvas(content)
    with pytest.raises(UnreadablePicture, match="appears in more steps"):
        picture_on_canvas(content[:-2] + 30 * last_step + content[-2:])


def test_the_limits_are_what_the_refusals_say():
    assert pictures.MOST_BYTES == 20_000_000
    others = dict.fromkeys(("PNG", "WEBP", "BMP", "GIF"), 24_000_000)
    assert others | {"JPEG": 50_000_000} == pictures.MOST_PIXELS


@pytest.mark.parametrize(
    ("kind", "mode", "pixels", "options"),
    [
        ("PNG", "RGBA", 24, {}),
        ("PNG", "P", 24, {}),
        ("WEBP", "RGBA", 24, {"lossless": True, "method": 0}),
        ("BMP", "RGB", 6, {}),
        ("GIF", "P", 24, {}),
        ("JPEG", "RGB", 50, {}),
        ("JPEG", "RGB", 24, {"progressive": True, "subsampling": 0}),
    ],
)
def test_the_largest_pictures_take_less_than_200_megabytes(kind, mode, pixels, options, tmp_path):
    side = int((pixels * 1e6) ** 0.5)
    picture = Image.new("L", (side, side), 255)
    picture.paste(0, (side // 2, side // 8, side // 2 + side // 16, side * 7 // 8))
    picture.convert(mode).save(tmp_path / "picture", kind, **options)
    read = (
        "import pathlib, resource, sys; from cnnlab.drawing.photos import picture_on_canvas; "
        "content = pathlib.Path(sys.argv[1]).read_bytes(); "
        "kilobytes = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; before = kilobytes(); "
        "picture_on_canvas(content); sys.exit(kilobytes() - before > 200_000)"
    )
    assert subprocess.run([sys.executable, "-c", read, str(tmp_path / "picture")], check=False).returncode == 0


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (photo(), [5832.686, 133.004, 140.998, 46937.276]),
        (scan(), [5110.494, 122.905, 144.099, 40284.837]),
        (scan(500, 300), [3068.573, 129.725, 144.088, 39864.698]),
    ],
)
def test_what_is_left_of_a_picture_is_what_was_left_before(pixels, expected):
    np.testing.assert_allclose(moments(picture_on_canvas(file_of(pixels)))[0], expected, rtol=1e-4)


def test_the_level_that_separates_is_the_one_with_the_most_variance_between_both_sides():
    chance = np.random.default_rng(3)
    grey = np.concatenate([chance.normal(0.2, 0.07, 9_000), chance.normal(0.7, 0.1, 1_000)]).clip(0, 1)
    rounded = (np.floor(grey * 128).clip(0, 127) + 0.5) / 128
    between = {}
    for edge in np.arange(1, 128) / 128:
        light, dark = rounded[rounded < edge], rounded[rounded > edge]
        if len(light) and len(dark):
            between[edge] = len(light) * len(dark) * (light.mean() - dark.mean()) ** 2
    assert pictures._separating_level(grey) == pytest.approx(max(between, key=between.get))
