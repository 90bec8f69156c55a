import numpy as np
import pytest
import torch

from cnnlab.data.mnist import load_test_set
from cnnlab.drawing.my_digits import keep, my_digits
from cnnlab.drawing.strokes import Stroke
from cnnlab.inference import answers as answering
from cnnlab.inference import networks
from cnnlab.inference.answers import answers_of, right_of
from cnnlab.inference.networks import NoPredictions, network_now, newest_network_of
from cnnlab.inference.test_set import predictions_of
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.folder import DamagedRun
from cnnlab.runs.shelf import create_run, find_run
from cnnlab.runs.writer import RunWriter
from cnnlab.training.recipe import TrainingConfig
from cnnlab.training.state import TrainingState


@pytest.fixture
def run():
    return create_run(DEFINITIONS["module"], TrainingConfig(epochs=1))


def save_weights(run, seed):
    with RunWriter.claim(run) as writer:
        writer.save_weights(DEFINITIONS["module"].build(seed).state_dict())


def test_the_answers_are_those_to_the_test_images():
    run = find_run("reference-module")
    images = load_test_set()[0][:50, 0].numpy()
    expected = predictions_of(run)
    answers = answers_of(run, images)
    assert [answer.digit for answer in answers] == expected.answers[:50].tolist()
    np.testing.assert_allclose([answer.confidence for answer in answers], expected.confidences[:50], rtol=1e-4)
    assert all(answer.probabilities.sum() == pytest.approx(1, abs=1e-5) for answer in answers)


def test_a_network_is_loaded_once_and_again_when_its_weights_are_newer(run, monkeypatch):
    loaded = []
    original = networks._network_with
    monkeypatch.setattr(networks, "_network_with", lambda *given: loaded.append(given) or original(*given))
    save_weights(run, seed=51)
    first = newest_network_of(run)
    assert newest_network_of(run).module is first.module
    save_weights(run, seed=52)
    second = newest_network_of(run)
    assert second.module is not first.module
    assert second.fingerprint != first.fingerprint
    assert len(loaded) == 2


def test_only_so_many_networks_stay_in_memory_those_asked_last(run, monkeypatch):
    monkeypatch.setattr(networks, "_MOST_NETWORKS", 2)
    monkeypatch.setattr(networks, "_networks", type(networks._networks)())
    asked = []
    for seed in range(4):
        save_weights(run, seed)
        asked.append(newest_network_of(run).module)
    assert list(networks._networks.values()) == asked[-2:]


def test_a_run_that_trains_answers_with_its_checkpoint_before_its_first_epoch_has_ended(run):
    trained = DEFINITIONS["module"].build(seed=61)
    state = TrainingState(trained, run.config)
    with RunWriter.claim(run) as writer:
        writer.started(step=0)
        writer.save(state, weights=False)
        now = network_now(run)
        assert torch.equal(now.module.conv1.weight, trained.conv1.weight)
        assert network_now(run).module is now.module, "it was read again"
        with pytest.raises(NoPredictions):
            newest_network_of(run)


def test_a_run_that_has_ended_answers_with_its_weights(run):
    state = TrainingState(DEFINITIONS["module"].build(seed=62), run.config)
    with RunWriter.claim(run) as writer:
        writer.started(step=0)
        writer.save(state, weights=True)
        writer.save_weights(DEFINITIONS["module"].build(seed=63).state_dict())
        writer.stopped()
    assert network_now(run) == newest_network_of(run)


def test_a_run_without_weights_cannot_answer(run):
    with pytest.raises(NoPredictions, match="has no weights yet"):
        answers_of(run, np.zeros((1, 28, 28), np.float32))


def test_damaged_weights_cannot_answer(run):
    run.weights_path.write_bytes(b"something else")
    with pytest.raises(DamagedRun, match="is damaged"):
        answers_of(run, np.zeros((1, 28, 28), np.float32))


def test_a_run_is_right_on_those_that_it_reads(monkeypatch):
    seven = [Stroke(20, ((70.0, 70.0), (200.0, 70.0), (190.0, 90.0), (150.0, 160.0), (120.0, 240.0)))]
    keep(7, seven)
    keep(4, seven)
    run, digits = find_run("reference-module"), my_digits()
    assert right_of(run, digits) == 1
    monkeypatch.setattr(answering, "predict_logits", None)
    assert right_of(run, digits) == 1, "the answers were asked for again"
