import io
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cnnlab.charts.shading import slices_in_a_row
from cnnlab.film.animation import drawing_film, filters_film
from cnnlab.inference.test_set import images_of

RANDOM = np.random.default_rng(0)
FIRST, SECOND = (8, 1, 3, 3), (16, 8, 3, 3)


def moments_with(*shapes, count=3):
    return [[RANDOM.normal(size=shape).astype(np.float32) for shape in shapes] for _ in range(count)]


def frames_of(gif):
    with Image.open(io.BytesIO(gif)) as film:
        assert film.format == "GIF"
        for place in range(film.n_frames):
            film.seek(place)
            yield np.asarray(film.convert("RGB")), film.info["duration"]


def test_the_filters_move_from_frame_to_frame_and_the_last_one_stays():
    frames, milliseconds = zip(*frames_of(filters_film([0, 3, 9], moments_with(FIRST, SECOND), 9)), strict=True)
    assert milliseconds == (250, 250, 2_500)
    assert all((some != others).any() for some, others in pairwise(frames))
    assert len({frame.shape for frame in frames}) == 1


def test_a_frame_shows_the_first_filter_in_its_colours():
    moments = moments_with(FIRST)
    frame, _ = next(frames_of(filters_film([0, 3, 9], moments, 9)))
    most = max(np.abs(filters[0]).max() for (filters,) in moments)
    colors = slices_in_a_row(moments[0][0][0], float(most))
    on_paper = colors[..., :3] * colors[..., 3:] + (1 - colors[..., 3:])
    shown = frame[46 : 46 + 18 : 6, 16 : 16 + 18 : 6]
    assert np.abs(shown / 255 - on_paper).max() < 0.1  # a GIF has 256 colours


@pytest.mark.parametrize("shapes", [[(3, 1, 5, 5)], [(200, 64, 3, 3)], [FIRST] * 90])
def test_large_networks_have_a_film_that_can_be_sent(shapes):
    gif = filters_film(range(12), moments_with(*shapes, count=12), 11)
    frames = [frame for frame, _ in frames_of(gif)]
    assert max(frames[0].shape) < 4_000
    assert len(gif) < 8_000_000


def test_a_drawing_has_a_bar_as_high_as_its_probability():
    image = images_of("mnist")[0][0, 0].numpy()
    shares = RANDOM.dirichlet(np.ones(10), size=3)
    answers = pd.DataFrame(
        {
            "step": np.repeat([0, 5, 70], 10),
            "digit": np.tile(np.arange(10), 3),
            "probability": shares.ravel(),
        }
    )
    for (frame, _), probabilities in zip(frames_of(drawing_film(image, answers, 70)), shares, strict=True):
        assert 0 < (frame[46:186, 16:156] < 128).all(axis=2).mean() < 0.5  # the ink
        most = int(probabilities.argmax())
        column = frame[46 : 46 + 118, 16 + 140 + 16 + 22 * most + 8].astype(int)
        is_bar = np.abs(column - [0x2F, 0x5B, 0xEA]).max(axis=1) < 24
        assert abs(is_bar.sum() - probabilities[most] * 118) <= 2
