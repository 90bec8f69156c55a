"""What the loop tells of a training, and what it does at a divergence, each found in another way."""

import math
import time
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cnnlab.training.batches import shuffled
from cnnlab.training.events import BatchEvent, EpochEvent
from cnnlab.training.loop import STEPS_AT_ONCE, Diverged, _prepare_process, require_an_image_for_each, train
from cnnlab.training.recipe import InvalidConfig, TrainingConfig
from cnnlab.training.state import TrainingState

CONFIG = TrainingConfig(epochs=2, batch_size=50, threads=1, device="cpu")
STEPS = 4  # an epoch, of 200 images


@pytest.fixture(scope="module")
def few(mnist):
    return mnist.first(train=200, test=50)


def linear():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


def measured(model, images, labels):
    """Return the mean cross entropy and the share of right answers, image by image."""
    with torch.inference_mode():
        logits = model(images)
    losses = [-float(row.log_softmax(0)[label]) for row, label in zip(logits, labels, strict=True)]
    right = [int(row.argmax()) == int(label) for row, label in zip(logits, labels, strict=True)]
    return pytest.approx(sum(losses) / len(losses), rel=1e-5), sum(right) / len(right)


def test_each_epoch_tells_the_mean_loss_of_its_own_batches_and_how_good_the_network_is_then(few):
    config = replace(CONFIG, epochs=3, validation=60)
    model, losses, epochs = linear(), [], 0
    for event in train(model, few, config):
        if isinstance(event, BatchEvent):
            losses.append(event.loss)
            continue
        epochs += 1
        assert (event.epoch, event.step, len(losses)) == (epochs, 3 * epochs, 3 * epochs)  # 50, 50 and 40 images
        assert event.train_loss == pytest.approx(sum(losses[-3:]) / 3)
        assert (event.test_loss, event.test_accuracy) == measured(model, few.test_images, few.test_labels)
        held_out = few.train_images[140:], few.train_labels[140:]
        assert (event.validation_loss, event.validation_accuracy) == measured(model, *held_out)
        assert event.images_per_second == pytest.approx(140 / event.seconds)
    assert epochs == 3


def test_validation_images_that_are_left_as_bytes_are_measured_as_numbers(few):
    config = replace(CONFIG, epochs=1, validation=100)
    as_bytes = replace(few, train_images=(few.train_images * 255).round().byte())
    *_, expected = train(linear(), few, config)
    *_, found = train(linear(), as_bytes, config)
    assert found.validation_loss == expected.validation_loss


def test_the_seconds_of_steps_add_up_and_are_no_more_than_have_passed(few):
    began = time.perf_counter()
    state = TrainingState(linear(), CONFIG)
    batches, epochs = [], []
    for event in train(state.model, few, CONFIG, state):
        (batches if isinstance(event, BatchEvent) else epochs).append(event)
        if isinstance(event, BatchEvent):
            assert (event.step, event.seconds) == (state.step, state.seconds)  # a CPU has each loss after its step
    assert 0 < batches[0].seconds < batches[-1].seconds <= time.perf_counter() - began
    assert epochs[0].seconds == pytest.approx(batches[STEPS - 1].seconds)
    assert epochs[1].seconds == pytest.approx(batches[-1].seconds - batches[STEPS - 1].seconds)


def test_steps_whose_losses_are_read_at_once_share_their_time_evenly(few, monkeypatch):
    monkeypatch.setitem(STEPS_AT_ONCE, "cpu", 3)
    seconds = [event.seconds for event in train(linear(), few, CONFIG) if isinstance(event, BatchEvent)]
    third = seconds[0]
    assert seconds[:3] == pytest.approx([third, 2 * third, 3 * third])
    second = (seconds[6] - seconds[3]) / 3  # the next epoch begins with three again, behind a rest of one
    assert seconds[3:7] == pytest.approx([seconds[3] + count * second for count in range(4)])


@pytest.mark.parametrize("at_once", [1, 3])
def test_each_step_has_the_learning_rate_of_its_middle(at_once, few, monkeypatch):
    monkeypatch.setitem(STEPS_AT_ONCE, "cpu", at_once)
    config = replace(CONFIG, optimizer="sgd", momentum=0, learning_rate=0.05, schedule="one-cycle", kernels="torch")
    model, by_hand = linear(), linear()
    list(train(model, few, config, learning_rates={6: 0.02}))
    # Of eight steps, the first two rise to the highest rate and the other six fall to nothing.
    shares = [1 / 4, 3 / 4, 11 / 12, 9 / 12, 7 / 12, 5 / 12, 3 / 12, 1 / 12]
    rates = iter([share * (0.05 if step < 6 else 0.02) for step, share in enumerate(shares, start=1)])
    for epoch in (1, 2):
        for places in shuffled(200, CONFIG.seed, epoch).split(50):
            by_hand.zero_grad()
            F.cross_entropy(by_hand(few.train_images[places]), few.train_labels[places]).backward()
            rate = next(rates)
            with torch.no_grad():
                for parameter in by_hand.parameters():
                    parameter -= rate * parameter.grad
    for found, expected in zip(model.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_a_batch_may_be_all_that_is_trained_on_and_no_more(few, pen):
    validated = replace(CONFIG, epochs=1, validation=50)
    for config, size in ((validated, 150), (replace(validated, data="mnist+pen"), 150 + 4 * 70)):
        batch, epoch = train(linear(), few, replace(config, batch_size=size), pen=pen)
        assert (batch.step, epoch.images_per_second) == (1, pytest.approx(size / epoch.seconds))
        with pytest.raises(InvalidConfig, match=f"batch_size is {size + 1}; allowed is at most {size}, the size"):
            next(train(linear(), few, replace(config, batch_size=size + 1), pen=pen))


@pytest.mark.parametrize(
    ("changes", "epochs_with_it"),
    [({}, [3]), ({"augment": True}, [1, 2, 3]), ({"data": "mnist+pen"}, [1, 2, 3]), ({"shift": 1}, [3])],
)
def test_pen_digits_are_tested_after_each_epoch_that_takes_long_and_after_the_last(changes, epochs_with_it, few, pen):
    model, found = linear(), {}
    for event in train(model, few, replace(CONFIG, epochs=3, batch_size=100, **changes), pen=pen):
        if isinstance(event, EpochEvent) and event.pen_accuracy is not None:
            found[event.epoch] = event.pen_accuracy
            assert event.pen_accuracy == measured(model, pen.test_images, pen.test_labels)[1]
    assert list(found) == epochs_with_it


def test_pen_digits_without_those_to_train_on_are_not_enough_for_a_recipe_with_them(few, pen):
    with pytest.raises(InvalidConfig, match="allowed is mnist where the pen digits are not loaded"):
        next(train(linear(), few, replace(CONFIG, data="mnist+pen"), pen=replace(pen, outlines=None)))


def test_every_process_has_an_image_of_the_smallest_batch_or_the_team_is_refused():
    for processes in range(1, 6):
        for images in range(1, 25):
            for batch_size in range(1, images + 1):
                smallest = min(len(batch) for batch in torch.arange(images).split(batch_size))
                if smallest >= processes:
                    require_an_image_for_each(processes, images, batch_size)
                    continue
                with pytest.raises(InvalidConfig, match=f"each of the {processes} processes an image of every batch"):
                    require_an_image_for_each(processes, images, batch_size)


class TwoProcesses:
    size = 2

    def joined(self, network):
        return network


def test_a_team_is_refused_a_last_batch_of_fewer_images_than_it_has_processes(few):
    odd = few.first(train=101, test=50)
    state = TrainingState(linear(), CONFIG, TwoProcesses())
    with pytest.raises(InvalidConfig, match="batch_size is 50; allowed is one that leaves each of the 2 processes"):
        next(train(state.model, odd, CONFIG, state))


@pytest.mark.parametrize("bad_step", [0, 1, 2, 3])
def test_a_divergence_names_the_learning_rate_of_the_step_that_it_came_from(bad_step, few):
    damaged = few.train_images.clone()
    damaged[shuffled(200, CONFIG.seed, epoch=1)[bad_step * 50]] = math.nan
    rates = {1: 0.011, 2: 0.012, 3: 0.013, 4: 0.014}  # the recipe's is 0.001
    told = rf"training loss became nan in epoch 1, after step {bad_step}: .*rate \({rates[max(1, bad_step)]}\) is"
    with pytest.raises(Diverged, match=told):
        list(train(linear(), replace(few, train_images=damaged), CONFIG, learning_rates=rates))


@pytest.mark.parametrize("which", ["test", "validation"])
def test_a_network_that_no_test_can_measure_goes_back_to_its_last_finite_loss(which, few):
    config = replace(CONFIG, validation=50)  # three steps an epoch
    good = linear()
    for event in train(good, few, config):
        if event.step == 2:
            break
    part = {"test": "test_images", "validation": "train_images"}[which]
    damaged = getattr(few, part).clone()
    damaged[-1] = math.nan  # the last images are those for validation
    model = linear()
    state = TrainingState(model, config)
    told = rf"The {which} loss became nan in epoch 1, after step 3: .*rate \(0\.003\) is"
    rates = {3: 0.003, 4: 0.004}
    with pytest.raises(Diverged, match=told):
        list(train(model, replace(few, **{part: damaged}), config, state, learning_rates=rates))
    assert state.step == 2
    assert all(torch.equal(*pair) for pair in zip(good.parameters(), model.parameters(), strict=True))


def test_on_cuda_and_there_alone_cudnn_is_told_to_repeat_itself(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    state = TrainingState(linear(), CONFIG)
    found = []
    for device in ("cpu", "cuda"):
        state.device = torch.device(device)
        _prepare_process(CONFIG, state)
        found.append((torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark))
    assert found == [(False, True), (True, False)]
