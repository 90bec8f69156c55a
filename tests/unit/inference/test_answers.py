from hashlib import sha256

import numpy as np
import pytest
import torch
from safetensors.torch import load

from cnnlab.data.mnist import load_test_set
from cnnlab.drawing.my_digits import keep, my_digits
from cnnlab.drawing.strokes import Stroke
from cnnlab.inference import answers as answering
from cnnlab.inference import networks
from cnnlab.inference.answers import answers_of, right_of
from cnnlab.inference.networks import NoPredictions, network_at, network_now, newest_network_of
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


def test_how_many_are_right_is_counted_anew_with_another_digit_or_other_weights(run):
    keep(7, [Stroke(20, ((70.0, 70.0), (200.0, 70.0), (190.0, 90.0), (150.0, 160.0), (120.0, 240.0)))])
    with RunWriter.claim(run) as writer:
        writer.save_weights(load(find_run("reference-module").read_weights()))
        assert right_of(run, my_digits()) == 1
        keep(1, [Stroke(20, ((140.0, 40.0), (140.0, 240.0)))])
        assert right_of(run, my_digits()) == 2
        nothing = {name: torch.zeros_like(each) for name, each in DEFINITIONS["module"].build(0).state_dict().items()}
        writer.save_weights(nothing)  # answers 0 to all
        assert right_of(run, my_digits()) == 0


@pytest.mark.parametrize(("known", "then"), [(1_000, 1_001), (1_001, 1)])
def test_how_many_are_right_is_forgotten_once_more_than_a_thousand_are_known(monkeypatch, known, then):
    counts = {(str(number), "", ""): number for number in range(known)}
    monkeypatch.setattr(answering, "_right", counts)
    keep(7, [Stroke(20, ((70.0, 70.0), (200.0, 70.0), (120.0, 240.0)))])
    right_of(find_run("reference-module"), my_digits())
    assert len(counts) == then


def test_a_network_that_is_asked_again_stays_and_the_one_asked_longest_ago_goes(run, monkeypatch):
    monkeypatch.setattr(networks, "_MOST_NETWORKS", 2)
    monkeypatch.setattr(networks, "_networks", type(networks._networks)())
    ids = ["reference-sequential", "reference-module", "reference-sequential", "reference-drawing"]
    first, _, again, last = (newest_network_of(find_run(run_id)).module for run_id in ids)
    assert again is first
    assert list(networks._networks.values()) == [first, last]


def test_each_moment_has_its_own_weights(run):
    weights = [DEFINITIONS["module"].build(seed).state_dict() for seed in range(4)]
    with RunWriter.claim(run) as writer:
        writer.save_weights(weights[0])
        writer.save_snapshot(weights[1], 0)
        writer.save_snapshot(weights[2], 7)
    for moment, expected in (("newest", 0), ("now", 0), (0, 1), (7, 2)):
        network = network_at(run, moment)
        assert torch.equal(network.module.conv1.weight, weights[expected]["conv1.weight"])
        assert not network.module.training
    with pytest.raises(NoPredictions, match="began with random weights"):
        network_at(run, "start")
    with pytest.raises(DamagedRun, match="is gone"):
        network_at(run, 3)


def test_the_fingerprint_is_the_sum_of_the_file(run):
    save_weights(run, seed=0)
    assert newest_network_of(run).fingerprint == sha256(run.weights_path.read_bytes()).hexdigest()
