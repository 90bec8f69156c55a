import numpy as np
import pytest
import torch

from cnnlab.film.moments import answers_over_training, film_of, filters_over_training, moments_of
from cnnlab.inference.answers import answers_of
from cnnlab.inference.calibration import calibration_of
from cnnlab.inference.test_set import images_of, predictions_of
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.models.insight import filters_of
from cnnlab.runs.folder import DamagedRun
from cnnlab.runs.shelf import create_run, delete_run, find_run
from cnnlab.runs.writer import RunWriter
from cnnlab.storage.checksums import sealed_tensors
from cnnlab.training.recipe import TrainingConfig


def weights_of(seed):
    return DEFINITIONS["module"].build(seed).state_dict()


@pytest.fixture
def run():
    """Return a run whose network was another one after each of some steps, and is the eighth now."""
    made = create_run(DEFINITIONS["module"], TrainingConfig(epochs=1, threads=1))
    with RunWriter.claim(made) as writer:
        for step in (0, 1, 5):
            writer.save_snapshot(weights_of(step), step)
        writer.save_weights(weights_of(8), 8)
    return made


@pytest.fixture
def image():
    return images_of("mnist")[0][3]


def asked(seed, image):
    """Return what a network of random weights answers, asked without the lab."""
    network = DEFINITIONS["module"].build(seed).eval()
    with torch.no_grad():
        return network(image[None])[0].softmax(dim=0).numpy()


def test_the_newest_weights_are_the_last_moment(run):
    assert moments_of(run) == (0, 1, 5, 8)


def test_newest_weights_of_which_there_is_a_snapshot_are_one_moment(run):
    with RunWriter.claim(run) as writer:
        writer.save_weights(weights_of(5), 5)
    assert moments_of(run) == (0, 1, 5)


def test_a_run_without_snapshots_has_no_moments_and_no_film(image):
    run = find_run("reference-module")
    assert (moments_of(run), film_of(run), answers_over_training(run, image)) == ((), None, None)


def test_each_moment_answers_with_its_own_weights(run, image):
    answers = answers_over_training(run, image)
    for step in (0, 1, 5, 8):
        rows = answers[answers["step"] == step]
        assert rows["digit"].tolist() == list(range(10))
        np.testing.assert_allclose(rows["probability"], asked(step, image), atol=1e-6)


def test_a_snapshot_that_comes_is_in_the_film(run, image):
    assert film_of(run).steps == (0, 1, 5, 8)
    with RunWriter.claim(run) as writer:
        writer.save_snapshot(weights_of(7), 7)
        writer.save_snapshot(weights_of(9), 1)  # a run that went back takes a step again
    answers = answers_over_training(run, image)
    assert film_of(run).steps == (0, 1, 5, 7, 8)
    np.testing.assert_allclose(answers[answers["step"] == 1]["probability"], asked(9, image), atol=1e-6)


@pytest.mark.slow
def test_what_a_network_answers_after_a_step_is_what_its_weights_then_answer(run, image):
    images, _ = images_of("mnist")
    network = DEFINITIONS["module"].build(5).eval()
    with torch.no_grad():
        expected = network(images[:500]).argmax(dim=1).numpy()
    assert (predictions_of(run, "mnist", 5).answers[:500] == expected).all()
    np.testing.assert_allclose(answers_of(run, image.numpy(), 5)[0].probabilities, asked(5, image), atol=1e-6)
    assert calibration_of(run, 5).error_before != calibration_of(run).error_before


def test_a_moment_whose_snapshot_is_gone_says_so(run, image):
    run.snapshot_path(5).unlink()
    with pytest.raises(DamagedRun, match="is gone"):
        answers_of(run, image.numpy(), 5)


def test_the_filters_at_each_moment_are_those_of_its_weights(run):
    steps, moments = filters_over_training(run)
    assert steps == (0, 1, 5, 8)
    for seed, convolutions in zip(steps, moments, strict=True):
        expected = filters_of(DEFINITIONS["module"].build(seed)).values()
        assert all(np.array_equal(found, right) for found, right in zip(convolutions, expected, strict=True))
    assert filters_over_training(find_run("reference-module")) is None


def test_at_the_last_moment_the_newest_weights_count_and_not_a_snapshot(run, image):
    with RunWriter.claim(run) as writer:
        writer.save_snapshot(weights_of(3), 8)
    answers = answers_over_training(run, image)
    np.testing.assert_allclose(answers[answers["step"] == 8]["probability"], asked(8, image), atol=1e-6)


@pytest.mark.parametrize("step", ["abc", "-7", "\u0663"])
def test_weights_that_are_of_no_step_are_said_to_be_damaged(run, step):
    run.weights_path.write_bytes(sealed_tensors(weights_of(8), run=run.identity, step=step))
    with pytest.raises(DamagedRun, match="is of no step"):
        moments_of(run)


def test_a_run_that_is_gone_is_said_to_be_gone(run):
    film_of(run)
    delete_run(run)
    assert moments_of(run) == ()
