import io
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from cnnlab.charts.shading import slices_in_a_row
from cnnlab.film.animation import NoFilm, drawing_film, filters_film
from cnnlab.film.moments import film_of
from cnnlab.inference.test_set import images_of
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.models.insight import filters_of
from cnnlab.runs.shelf import create_run, find_run
from cnnlab.runs.writer import RunWriter
from cnnlab.training.recipe import TrainingConfig


@pytest.fixture(params=["module", "residual"])
def run(request):
    made = create_run(DEFINITIONS[request.param], TrainingConfig(epochs=1, threads=1))
    with RunWriter.claim(made) as writer:
        for step in (0, 3, 9):
            writer.save_snapshot(DEFINITIONS[request.param].build(step).state_dict(), step)
    return made


def first_filter(model, seed):
    return next(iter(filters_of(DEFINITIONS[model].build(seed)).values()))[0].numpy()


def frames_of(gif):
    with Image.open(io.BytesIO(gif)) as film:
        assert film.format == "GIF"
        for place in range(film.n_frames):
            film.seek(place)
            yield np.asarray(film.convert("RGB")), film.info["duration"]


def test_the_filters_move_from_frame_to_frame_and_the_last_one_stays(run):
    frames, milliseconds = zip(*frames_of(filters_film(run)), strict=True)
    assert milliseconds == (250, 250, 2_500)
    assert all((some != others).any() for some, others in pairwise(frames))
    assert len({frame.shape for frame in frames}) == 1


def test_a_frame_shows_the_first_filter_in_its_colours(run):
    frame, _ = next(frames_of(filters_film(run)))
    first, *later = (first_filter(run.model, seed=step) for step in (0, 3, 9))
    most = max(np.abs(each).max() for each in (first, *later))
    colors = slices_in_a_row(first, float(most))
    on_paper = colors[..., :3] * colors[..., 3:] + (1 - colors[..., 3:])
    shown = frame[46 : 46 + 6 * first.shape[1] : 6, 16 : 16 + 6 * first.shape[2] : 6]
    assert np.abs(shown / 255 - on_paper[: first.shape[1], : first.shape[2]]).max() < 0.1  # a GIF has 256 colours


def test_a_drawing_has_a_bar_as_high_as_its_probability(run):
    image = images_of("mnist")[0][0]
    for (frame, _), probabilities in zip(
        frames_of(drawing_film(run, image)), film_of(run).probabilities(image).numpy(), strict=True
    ):
        assert 0 < (frame[46:186, 16:156] < 128).all(axis=2).mean() < 0.5  # the ink
        most = int(probabilities.argmax())
        column = frame[46 : 46 + 118, 16 + 140 + 16 + 22 * most + 8].astype(int)
        is_bar = np.abs(column - [0x2F, 0x5B, 0xEA]).max(axis=1) < 24
        assert abs(is_bar.sum() - probabilities[most] * 118) <= 2


def test_a_run_without_snapshots_has_no_film():
    with pytest.raises(NoFilm, match=r"Reference: nn\.Module has no snapshots"):
        filters_film(find_run("reference-module"))
