from itertools import islice

import numpy as np
import pytest
import torch

from cnnlab.data import pen_digits
from cnnlab.data.mnist import DataError
from cnnlab.data.pen_digits import PARTS, TEST_BRUSHES, TESTING_DIGITS, TRAINING_DIGITS, UNITS, load_drawn, load_strokes
from cnnlab.drawing.pen import outlines_of, plain_drawings
from cnnlab.fused.pen import drawn


@pytest.fixture(scope="module")
def parts():
    return {part: load_strokes(part) for part in PARTS}


@pytest.fixture
def unread():
    pen_digits._arrays.cache_clear()
    yield
    pen_digits._arrays.cache_clear()


def test_no_writer_stands_on_two_sides(parts):
    writers = [set(digits.writers) for digits in parts.values()]
    assert sum(map(len, writers)) == len(set.union(*writers))


def test_the_writers_are_split_70_15_15_within_each_collection(parts):
    for is_tablet in (True, False):
        counts = np.array(
            [len({w for w in digits.writers if w.startswith("pen-") == is_tablet}) for digits in parts.values()]
        )
        assert counts / counts.sum() == pytest.approx([0.7, 0.15, 0.15], abs=0.04)


def test_the_recipe_counts_the_digits_that_are_there(parts):
    assert len(parts["training"]) == TRAINING_DIGITS
    assert len(parts["testing"]) == TESTING_DIGITS


def test_every_digit_has_strokes_that_fill_a_square_of_255(parts):
    for digits in parts.values():
        assert set(digits.labels.tolist()) == set(range(10))
        assert max(stroke.max() for strokes in digits.strokes for stroke in strokes) == UNITS == 255
        for strokes in digits.strokes:
            points = np.concatenate(strokes)
            assert points.min() >= 0
            assert np.ptp(points, axis=0).max() > 250 or np.ptp(points, axis=0).max() == 0


def test_strokes_are_the_steps_of_the_archive_added_up_one_digit_after_the_other(parts):
    with np.load(pen_digits.ARCHIVE) as archive:
        arrays = {name: archive[name] for name in archive.files if not name.endswith("_images")}
    points = np.cumsum(arrays.pop("steps"), axis=1, dtype=np.int64).T % 256
    told = {name: array.tolist() for name, array in arrays.items()}
    counts, end, read = iter(told["point_counts"]), 0, {number: [] for number in range(3)}
    for label, writer, count in zip(told["labels"], told["writers"], told["stroke_counts"], strict=True):
        start, lengths = end, list(islice(counts, count))
        end += sum(lengths)
        read[told["writer_parts"][writer]].append((label, told["writer_names"][writer], lengths, points[start:end]))
    assert end == len(points)
    for digits, expected in zip(parts.values(), read.values(), strict=True):
        labels, writers, lengths, points_of = zip(*expected, strict=True)
        assert tuple(digits.labels) == labels
        assert digits.writers == writers
        assert [list(map(len, strokes)) for strokes in digits.strokes] == list(lengths)
        assert all(map(np.array_equal, map(np.concatenate, digits.strokes), points_of))


def test_the_first_digits_are_a_smaller_set(parts):
    digits, few = parts["testing"], parts["testing"].first(3)
    assert len(few) == len(few.writers) == len(few.strokes) == 3
    assert few.labels.tolist() == digits.labels[:3].tolist()


@pytest.mark.parametrize("part", ["choosing", "testing"])
def test_the_drawings_are_of_the_strokes_of_their_part(part, parts):
    images, labels = load_drawn(part)
    assert images.shape == (len(parts[part]), 1, 28, 28)
    assert labels.tolist() == parts[part].labels.tolist()
    assert (images.amax(dim=(1, 2, 3)) == 1).all()


def test_the_drawings_are_drawn_with_one_brush_after_the_other(parts):
    digits = parts["testing"].first(60)
    drawings = plain_drawings(60, brush=1)
    drawings[:, 6] = torch.tensor(TEST_BRUSHES * 20) / 2  # the brush's radius
    images = drawn(outlines_of(digits), torch.arange(60), drawings)
    assert (images - load_drawn("testing")[0][:60]).abs().max() <= 1 / 255


@pytest.mark.usefixtures("unread")
@pytest.mark.parametrize(
    ("damage", "how"), [(lambda whole: whole[:-1] + bytes([whole[-1] ^ 1]), "damaged"), (lambda _: None, "missing")]
)
def test_an_archive_that_cannot_be_read_is_told_in_a_sentence(damage, how, tmp_path, monkeypatch):
    content = damage(pen_digits.ARCHIVE.read_bytes())
    archive = tmp_path / "pen-digits.npz"
    if content is not None:
        archive.write_bytes(content)
    monkeypatch.setattr(pen_digits, "ARCHIVE", archive)
    with pytest.raises(DataError, match=f"pen-digits.npz is {how}. Restore it"):
        load_strokes("testing")
