"""The files of pictures: of which kinds they may be, how large, and what they say."""

import io
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from photographed import digit_read, file_of, photo, scan
from PIL import Image

from cnnlab.drawing import photos as pictures
from cnnlab.drawing.photos import UnreadablePicture, picture_on_canvas


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
    assert np.abs(pictures._pixels(file_of(levels)).astype(int) - pictures._pixels(file_of(scan()))).max() <= 1


def test_a_picture_keeps_its_colours():
    orange = np.full((40, 40, 3), (200, 100, 50), np.uint8)
    assert pictures._pixels(file_of(orange))[0, 0].tolist() == [200, 100, 50, 255]


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


@given(st.binary(max_size=300), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"]))
def test_any_bytes_are_refused(content, start):
    with pytest.raises(UnreadablePicture):
        picture_on_canvas(start + content)


def test_a_jpeg_with_more_pictures_behind_it_is_read_as_its_first():
    picture = Image.fromarray(scan()).convert("RGB")
    assert digit_read(picture_on_canvas(file_of(picture, "MPO", save_all=True, append_images=[picture]))) == 7


def test_the_limits_are_what_the_refusals_say():
    assert pictures.MOST_BYTES == 20_000_000
    others = dict.fromkeys(("PNG", "WEBP", "BMP", "GIF"), 24_000_000)
    assert others | {"JPEG": 50_000_000} == pictures.MOST_PIXELS


@pytest.mark.slow
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


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"heim", b"hevc"])
def test_all_that_phones_call_heic_is_told(brand):
    with pytest.raises(UnreadablePicture, match="This is a HEIC picture"):
        picture_on_canvas(b"\0\0\0\x18ftyp" + brand + bytes(40))


@pytest.mark.parametrize(
    ("start", "told"),
    [(b"MM\0*", "This is a TIFF picture"), (b"<?xml version", "This is an XML file, as SVG drawings are")],
)
def test_of_rarer_kinds_it_is_said_what_they_are(start, told):
    with pytest.raises(UnreadablePicture, match=told):
        picture_on_canvas(start + bytes(40))
    with pytest.raises(UnreadablePicture, match="This file is no picture"):
        picture_on_canvas(b" " + start + bytes(40))


@pytest.mark.parametrize(("size", "told"), [(20_499_990, 20), (20_500_001, 21)])
def test_how_large_a_file_is_is_said_in_whole_megabytes(size, told):
    with pytest.raises(UnreadablePicture, match=f"has {told} MB; at most 20 MB are read"):
        picture_on_canvas(bytes(size))


def test_a_file_may_be_as_large_as_the_limit(monkeypatch):
    content = file_of(scan())
    monkeypatch.setattr(pictures, "MOST_BYTES", len(content))
    picture_on_canvas(content)
    monkeypatch.setattr(pictures, "MOST_BYTES", len(content) - 1)
    with pytest.raises(UnreadablePicture, match="MB are read"):
        picture_on_canvas(content)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_may_have_as_many_pixels_as_the_limit(kind, monkeypatch):
    content = file_of(scan(), kind)
    monkeypatch.setattr(pictures, "_MOST_PROGRESSIVE_PIXELS", 1)
    monkeypatch.setitem(pictures.MOST_PIXELS, kind, 280 * 280)
    picture_on_canvas(content)
    monkeypatch.setitem(pictures.MOST_PIXELS, kind, 280 * 280 - 1)
    with pytest.raises(UnreadablePicture, match="280 × 280 pixels; at most 0 million"):
        picture_on_canvas(content)


def test_a_jpeg_that_appears_in_steps_has_a_limit_of_its_own(monkeypatch):
    content = file_of(scan(), "JPEG", progressive=True)
    monkeypatch.setitem(pictures.MOST_PIXELS, "JPEG", 1)
    monkeypatch.setattr(pictures, "_MOST_PROGRESSIVE_PIXELS", 280 * 280)
    picture_on_canvas(content)
    monkeypatch.setattr(pictures, "_MOST_PROGRESSIVE_PIXELS", 280 * 280 - 1)
    with pytest.raises(UnreadablePicture, match="280 × 280 pixels"):
        picture_on_canvas(content)


def test_a_jpeg_that_appears_in_steps_may_have_24_million_pixels():
    content = file_of(scan(), "JPEG", progressive=True)
    place = content.index(b"\xff\xc2") + 5  # where its height and its width stand
    too_large = content[:place] + (4_001).to_bytes(2) + (6_000).to_bytes(2) + content[place + 4 :]
    with pytest.raises(UnreadablePicture, match="6,000 × 4,001 pixels; at most 24 million are read"):
        picture_on_canvas(too_large)
    assert pictures._MOST_PROGRESSIVE_PIXELS == 24_000_000


def test_a_jpeg_may_appear_in_twenty_steps():
    content = file_of(scan(), "JPEG", progressive=True)
    step = content[content.rindex(b"\xff\xda") : -2]
    more = 20 - content.count(b"\xff\xda")
    picture_on_canvas(content[:-2] + more * step + content[-2:])
    with pytest.raises(UnreadablePicture, match="appears in more steps"):
        picture_on_canvas(content[:-2] + (more + 1) * step + content[-2:])


def test_pillows_warning_of_a_large_picture_is_no_damage():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UnreadablePicture, match="10,000 × 9,000 pixels; at most 24 million"):
            picture_on_canvas(png_that_says(10_000, 9_000))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize(
    ("size", "shape"), [((1200, 900), (420, 560)), ((900, 1200), (560, 420)), ((90, 60), (60, 90))]
)
def test_a_picture_is_looked_at_in_twice_the_canvas(kind, size, shape):
    content = file_of(np.full(size[::-1], 90, np.uint8), kind)
    assert pictures._pixels(content).shape == (*shape, 4)


@pytest.mark.parametrize("size", [(1080, 1920), (1920, 1080)])
def test_a_jpeg_is_decoded_smaller_only_where_both_its_sides_stay_twice_the_canvas(size):
    pixels = np.full(size, 255, np.uint8)
    pixels[:, ::7] = pixels[::7] = 0  # lines that a smaller picture shows otherwise
    as_png, as_jpeg = (pictures._pixels(file_of(pixels, kind)).astype(int) for kind in ("PNG", "JPEG"))
    assert np.abs(as_png - as_jpeg).mean() < 3


@pytest.mark.parametrize("mode", ["1", "P"])
def test_of_large_pictures_with_few_colours_the_colours_are_averaged(mode):
    checks = np.indices((1200, 1200)).sum(axis=0) % 2
    image = Image.fromarray((checks * 255).astype(np.uint8))
    if mode == "P":
        image = Image.fromarray((2 * checks).astype(np.uint8))
        image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])  # red and blue, and between them green
    assert pictures._pixels(file_of(image.convert("1") if mode == "1" else image))[..., :3].mean(axis=(0, 1)) == (
        pytest.approx([127.5] * 3 if mode == "1" else [127.5, 0, 127.5], abs=1)
    )


def test_a_dim_picture_of_16_bits_stays_as_dim():
    levels = (scan() // 2).astype(np.uint16)
    np.testing.assert_array_equal(pictures._pixels(file_of(levels))[..., 0], levels)
