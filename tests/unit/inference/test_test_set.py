from dataclasses import replace

import numpy as np
import pytest

from cnnlab.data.mnist import load_test_set
from cnnlab.inference import test_set as predictions
from cnnlab.inference.networks import NoPredictions
from cnnlab.inference.test_set import images_of, moved_accuracy_of, pen_accuracy_of, predictions_of
from cnnlab.models.definitions import DEFINITIONS, Net
from cnnlab.runs.folder import DamagedRun
from cnnlab.runs.shelf import create_run, reference_runs
from cnnlab.runs.writer import RunWriter
from cnnlab.training.events import EpochEvent
from cnnlab.training.recipe import TrainingConfig

pytestmark = pytest.mark.slow


@pytest.fixture
def run():
    made = create_run(DEFINITIONS["module"], TrainingConfig())
    keep_weights(made, seed=0)
    return made


class ChangedNet(Net):
    """The same weights, put to another use."""

    def forward(self, x):
        return -super().forward(x)


def keep_weights(run, seed, model="module"):
    with RunWriter.claim(run) as writer:
        writer.save_weights(DEFINITIONS[model].build(seed).state_dict())


def test_a_reference_run_answers_as_often_right_as_its_log_says():
    run = reference_runs()[0]
    answered = predictions_of(run)
    _, labels = load_test_set()
    assert (answered.answers == labels.numpy()).mean() == pytest.approx(run.last_epoch().test_accuracy)
    assert answered.confidences.min() >= 0.1
    assert answered.confidences.max() <= 1


def test_answers_are_computed_once(run, monkeypatch):
    computed = predictions_of(run)
    monkeypatch.setattr(predictions, "_predict", None)
    kept = predictions_of(run)
    assert np.array_equal(kept.answers, computed.answers)
    assert np.array_equal(kept.confidences, computed.confidences)


def test_the_answers_to_what_people_drew_are_kept_in_a_file_of_their_own(run, monkeypatch):
    computed = predictions_of(run, "pen")
    assert len(computed.answers) == len(images_of("pen")[1])
    monkeypatch.setattr(predictions, "_predict", None)
    assert np.array_equal(predictions_of(run, "pen").answers, computed.answers)
    run.pen_predictions_path.rename(run.predictions_path)
    with pytest.raises(TypeError):  # of the other test set: it is computed
        predictions_of(run)


def test_the_accuracy_on_what_people_drew_is_the_logs_or_else_asked_of_the_weights(run):
    asked = (predictions_of(run, "pen").answers == images_of("pen")[1].numpy()).mean()
    assert pen_accuracy_of(run) == asked
    with RunWriter.claim(run) as writer:
        writer.append_training(EpochEvent(1, 469, 0.2, 0.1, 0.97, 5.0, 12_000.0, pen_accuracy=0.9876))
    assert pen_accuracy_of(run) == 0.9876


def test_the_accuracy_on_what_people_drew_is_unknown_without_weights():
    assert pen_accuracy_of(create_run(DEFINITIONS["module"], TrainingConfig())) is None


def test_moved_by_nothing_images_are_read_as_they_are_and_far_moved_ones_as_chance_has_it():
    run = reference_runs()[0]
    assert moved_accuracy_of(run, 0) == pytest.approx(run.last_epoch().test_accuracy, abs=1e-4)
    assert moved_accuracy_of(run, 3) < moved_accuracy_of(run, 1) < moved_accuracy_of(run, 0)
    assert moved_accuracy_of(run, 28) < 0.12  # nothing is left of them: one digit is answered to all


def test_new_weights_give_new_answers(run):
    before = predictions_of(run)
    keep_weights(run, seed=1)
    assert not np.array_equal(predictions_of(run).answers, before.answers)


@pytest.mark.parametrize("damaged", [b"", b"nonsense", b"\xff" * 100])
def test_a_damaged_file_is_made_again(run, damaged):
    before = predictions_of(run)
    run.predictions_path.write_bytes(damaged)
    assert np.array_equal(predictions_of(run).answers, before.answers)


@pytest.mark.parametrize("share", [0.01, 0.25, 0.5, 0.99])
def test_a_file_in_which_a_byte_was_changed_is_made_again(run, share):
    before = predictions_of(run)
    content = bytearray(run.predictions_path.read_bytes())
    content[int(share * len(content))] ^= 1
    run.predictions_path.write_bytes(content)
    found = predictions_of(run)
    assert np.array_equal(found.answers, before.answers)
    assert np.array_equal(found.confidences, before.confidences)


def test_a_run_without_weights_has_no_answers():
    with pytest.raises(NoPredictions, match="has no weights yet"):
        predictions_of(create_run(DEFINITIONS["module"], TrainingConfig()))


def test_weights_of_a_network_that_has_changed_since_are_not_asked():
    run = create_run(replace(DEFINITIONS["module"], factory=ChangedNet), TrainingConfig())
    keep_weights(run, seed=0)
    with pytest.raises(NoPredictions, match="has changed it"):
        predictions_of(run)


def test_weights_of_another_network_are_refused_in_a_sentence(run):
    keep_weights(run, seed=0, model="sequential")
    with pytest.raises(NoPredictions, match="do not fit"):
        predictions_of(run)


@pytest.mark.parametrize("damaged", [b"", b"nonsense", b"\xff" * 100])
def test_damaged_weights_are_refused_in_a_sentence(run, damaged):
    run.weights_path.write_bytes(damaged)
    with pytest.raises(DamagedRun, match=r"is damaged: .*weights.safetensors cannot be read"):
        predictions_of(run)
