from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load
from truth import images_and_labels, probabilities

from cnnlab.data.mnist import load_test_set
from cnnlab.inference import test_set as predictions
from cnnlab.inference.networks import NoPredictions
from cnnlab.inference.test_set import images_of, moved_accuracy_of, pen_accuracy_of, predictions_of
from cnnlab.models.definitions import DEFINITIONS, Net
from cnnlab.runs.folder import DamagedRun
from cnnlab.runs.shelf import create_run, find_run, reference_runs
from cnnlab.runs.writer import RunWriter
from cnnlab.storage.checksums import sealed_tensors
from cnnlab.training.events import EpochEvent
from cnnlab.training.recipe import TrainingConfig
from cnnlab.training.state import TrainingState


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


@pytest.mark.slow
def test_a_reference_run_answers_as_often_right_as_its_log_says():
    run = reference_runs()[0]
    answered = predictions_of(run)
    _, labels = load_test_set()
    assert (answered.answers == labels.numpy()).mean() == pytest.approx(run.last_epoch().test_accuracy)
    assert answered.confidences.min() >= 0.1
    assert answered.confidences.max() <= 1


@pytest.mark.slow
def test_the_answers_to_what_people_drew_are_kept_in_a_file_of_their_own(run, monkeypatch):
    computed = predictions_of(run, "pen")
    assert len(computed.answers) == len(images_of("pen")[1])
    monkeypatch.setattr(predictions, "_predict", None)
    assert np.array_equal(predictions_of(run, "pen").answers, computed.answers)
    run.pen_predictions_path.rename(run.predictions_path)
    with pytest.raises(TypeError):  # of the other test set: it is computed
        predictions_of(run)


@pytest.mark.slow
def test_the_accuracy_on_what_people_drew_is_the_logs_or_else_asked_of_the_weights(run):
    asked = (predictions_of(run, "pen").answers == images_of("pen")[1].numpy()).mean()
    assert pen_accuracy_of(run) == asked
    with RunWriter.claim(run) as writer:
        writer.append_training(EpochEvent(1, 469, 0.2, 0.1, 0.97, 5.0, 12_000.0, pen_accuracy=0.9876))
    assert pen_accuracy_of(run) == 0.9876


def test_the_accuracy_on_what_people_drew_is_unknown_without_weights():
    assert pen_accuracy_of(create_run(DEFINITIONS["module"], TrainingConfig())) is None


@pytest.mark.slow
def test_moved_by_nothing_images_are_read_as_they_are_and_far_moved_ones_as_chance_has_it():
    run = reference_runs()[0]
    assert moved_accuracy_of(run, 0) == pytest.approx(run.last_epoch().test_accuracy, abs=1e-4)
    assert moved_accuracy_of(run, 3) < moved_accuracy_of(run, 1) < moved_accuracy_of(run, 0)
    assert moved_accuracy_of(run, 28) < 0.12  # nothing is left of them: one digit is answered to all


@pytest.mark.slow
def test_new_weights_give_new_answers(run):
    before = predictions_of(run)
    keep_weights(run, seed=1)
    assert not np.array_equal(predictions_of(run).answers, before.answers)


@pytest.mark.slow
@pytest.mark.parametrize("damaged", [b"", b"nonsense", b"\xff" * 100])
def test_a_damaged_file_is_made_again(run, damaged):
    before = predictions_of(run)
    run.predictions_path.write_bytes(damaged)
    assert np.array_equal(predictions_of(run).answers, before.answers)


@pytest.mark.slow
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


@pytest.fixture
def few_images(monkeypatch):
    """Let MNIST's test set be its first twelve images, and the testing writers' the seven after these; return both."""
    images, labels = (each[:19] for each in images_and_labels())
    parts = {"mnist": images[:12], "pen": images[12:]}
    tensors = torch.from_numpy(images.astype(np.float32))[:, None], torch.from_numpy(labels)
    monkeypatch.setattr(predictions, "load_test_set", lambda: tuple(each[:12] for each in tensors))
    monkeypatch.setattr(predictions, "load_drawn", lambda part: tuple(each[12:] for each in tensors))
    monkeypatch.setattr(predictions, "TEST_IMAGES", 12)
    monkeypatch.setattr(predictions, "TESTING_DIGITS", 7)
    return parts


@pytest.fixture
def learned():
    """Return a run of its own with what a reference run has learned."""
    run = create_run(DEFINITIONS["module"], TrainingConfig())
    with RunWriter.claim(run) as writer:
        writer.save_weights(load(find_run("reference-module").read_weights()))
    return run


def assert_are_answers(found, folder, images):
    expected = probabilities(folder, images)
    assert found.answers.tolist() == expected.argmax(axis=1).tolist()
    np.testing.assert_allclose(found.confidences, expected.max(axis=1), rtol=1e-4)


@pytest.mark.parametrize(
    ("test_set", "name"), [("mnist", "predictions.safetensors"), ("pen", "pen-predictions.safetensors")]
)
def test_answers_to_a_test_set_are_the_networks_and_then_those_in_its_file(
    learned, few_images, monkeypatch, test_set, name
):
    assert_are_answers(predictions_of(learned, test_set), learned.folder, few_images[test_set])
    assert [path.name for path in learned.folder.glob("*predictions*")] == [name]
    monkeypatch.setattr(predictions, "_predict", None)
    assert_are_answers(predictions_of(learned, test_set), learned.folder, few_images[test_set])


@pytest.mark.parametrize("test_set", ["mnist", "pen"])
@pytest.mark.parametrize("defect", ["other weights", "too few", "too many", "one more tensor", "cut off"])
def test_a_file_with_anything_wrong_is_made_again(learned, few_images, test_set, defect):
    predictions_of(learned, test_set)
    path = learned.predictions_path if test_set == "mnist" else learned.pen_predictions_path
    content = path.read_bytes()
    tensors = load(content)
    tensors["answers"] = (tensors["answers"] + 1) % 10
    count = len(tensors["answers"])
    if defect == "other weights":
        tensors["weights"][0] ^= 1
    elif defect == "too few":
        tensors["answers"] = tensors["answers"][: count - 1]
    elif defect == "too many":
        tensors["answers"] = tensors["answers"].repeat(2)[: count + 1]
    elif defect == "one more tensor":
        tensors["more"] = torch.zeros(1)
    changed = sealed_tensors(tensors)
    path.write_bytes(changed[:-1] if defect == "cut off" else changed)
    assert_are_answers(predictions_of(learned, test_set), learned.folder, few_images[test_set])
    assert path.read_bytes() == content


def test_answers_that_cannot_be_kept_are_given_all_the_same(learned, few_images):
    learned.predictions_path.mkdir()
    assert_are_answers(predictions_of(learned), learned.folder, few_images["mnist"])


def test_a_network_that_trains_is_asked_as_it_is_now_and_nothing_of_that_is_kept(learned, few_images):
    state = TrainingState(DEFINITIONS["module"].build(seed=5), learned.config)
    with RunWriter.claim(learned) as writer:
        writer.started(step=0)
        writer.save(state, weights=False)
        now = predictions_of(learned, "pen", "now")
        assert_are_answers(predictions_of(learned, "pen"), learned.folder, few_images["pen"])
    keep_weights(other := create_run(DEFINITIONS["module"], TrainingConfig()), seed=5)
    assert_are_answers(now, other.folder, few_images["pen"])


@pytest.mark.parametrize("right", [-4, 0, 2, 5])
def test_images_are_moved_to_the_right_and_what_leaves_them_is_lost(learned, few_images, right):
    moved = np.zeros((12, 28, 28))
    moved[:, :, max(right, 0) : 28 + min(right, 0)] = few_images["mnist"][:, :, max(-right, 0) : 28 - max(right, 0)]
    expected = probabilities(learned.folder, moved).argmax(axis=1) == images_and_labels()[1][:12]
    assert moved_accuracy_of(learned, right) == pytest.approx(expected.mean())


def test_how_often_moved_images_are_read_is_unknown_without_weights():
    assert moved_accuracy_of(create_run(DEFINITIONS["module"], TrainingConfig()), 1) is None


def test_where_the_log_says_nothing_of_what_people_drew_the_weights_are_asked(learned, few_images):
    right = probabilities(learned.folder, few_images["pen"]).argmax(axis=1) == images_and_labels()[1][12:19]
    with RunWriter.claim(learned) as writer:
        writer.append_training(EpochEvent(1, 469, 0.2, 0.1, 0.97, 5.0, 12_000.0))
        assert pen_accuracy_of(learned) == right.mean()
        writer.append_training(EpochEvent(2, 938, 0.2, 0.1, 0.97, 5.0, 12_000.0, pen_accuracy=0.0))
    assert pen_accuracy_of(learned) == 0
