import math
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.training.batches import shuffled
from cnnlab.training.evaluation import evaluate
from cnnlab.training.events import BatchEvent, EpochEvent
from cnnlab.training.loop import STEPS_AT_ONCE, Diverged, train
from cnnlab.training.optimizers import OPTIMIZERS
from cnnlab.training.recipe import PRESETS, SETTINGS, InvalidConfig, TrainingConfig
from cnnlab.training.state import TrainingState, as_channels_last, one_buffer_for_each_dtype, takes_channels_last

CONFIG = TrainingConfig(epochs=2, batch_size=128, threads=2)
STEPS_PER_EPOCH = 8  # 1,000 images


def losses(events):
    return [event.loss for event in events if isinstance(event, BatchEvent)]


def build(seed=0):
    return DEFINITIONS["module"].build(seed)


def with_dropout():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(784, 10))


def test_a_device_that_is_not_here_is_refused(mnist):
    missing = "cuda" if not torch.cuda.is_available() else "mps"
    with pytest.raises(InvalidConfig, match=f"device is '{missing}'; allowed is one of auto"):
        next(train(build(), mnist, replace(CONFIG, device=missing)))


def test_a_batch_larger_than_the_data_is_refused(mnist):
    with pytest.raises(InvalidConfig, match="batch_size is 1001; allowed is at most 1,000"):
        next(train(build(), mnist, replace(CONFIG, batch_size=1001)))


def test_an_event_for_every_batch_and_every_epoch(mnist):
    events = list(train(build(), mnist, CONFIG))
    batches = [event for event in events if isinstance(event, BatchEvent)]
    epochs = [event for event in events if isinstance(event, EpochEvent)]
    assert [event.step for event in batches] == list(range(1, 2 * STEPS_PER_EPOCH + 1))
    assert [(event.epoch, event.step) for event in epochs] == [(1, 8), (2, 16)]
    assert [type(event) for event in events].index(EpochEvent) == STEPS_PER_EPOCH
    assert epochs[0].train_loss == pytest.approx(sum(losses(batches[:8])) / 8)
    assert epochs[1].images_per_second == pytest.approx(1000 / epochs[1].seconds)
    assert batches[-1].seconds == pytest.approx(epochs[0].seconds + epochs[1].seconds)


RMSPROP = partial(torch.optim.RMSprop, momentum=0.9)


def losses_of_a_loop_by_hand(mnist, as_input, optimizer_for=RMSPROP):
    torch.set_num_threads(CONFIG.threads)
    model = build()
    optimizer = optimizer_for(model.parameters(), lr=0.001)
    by_hand = []
    for epoch in (1, 2):
        for indices in shuffled(1000, CONFIG.seed, epoch).split(128):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(as_input(mnist.train_images[indices])), mnist.train_labels[indices])
            loss.backward()
            optimizer.step()
            by_hand.append(loss.item())
    return by_hand


@pytest.mark.slow
def test_the_losses_are_those_of_a_loop_written_by_hand_bit_for_bit(mnist):
    by_hand = losses_of_a_loop_by_hand(mnist, as_channels_last)
    assert losses(train(build(), mnist, replace(CONFIG, kernels="torch"))) == by_hand


@pytest.mark.slow
@pytest.mark.parametrize("kernels", SETTINGS["kernels"].choices)
def test_the_losses_are_those_of_the_plainest_loop_but_for_rounding(kernels, mnist):
    # Adam's steps hardly depend on rounding. RMSprop's first ones do: it divides each gradient by its size, so that
    # what is left of a sum that comes to nothing moves a weight as much as a true gradient.
    for optimizer_for, changes, steps, bound in (
        (partial(torch.optim.Adam, betas=(0.9, 0.999)), {"optimizer": "adam"}, 2 * STEPS_PER_EPOCH, 1e-6),
        (RMSPROP, {}, STEPS_PER_EPOCH, 1e-4),
    ):
        by_hand = losses_of_a_loop_by_hand(mnist, lambda images: images, optimizer_for)
        found = losses(train(build(), mnist, replace(CONFIG, kernels=kernels, **changes)))
        assert found[:steps] == pytest.approx(by_hand[:steps], rel=bound)


def test_images_that_are_left_as_bytes_give_the_same_losses(mnist):
    as_bytes = replace(mnist, train_images=(mnist.train_images * 255).round().byte())
    assert losses(train(build(), as_bytes, CONFIG)) == losses(train(build(), mnist, CONFIG))


class Viewing(nn.Module):
    """Flattens as the tutorial does, which channels last do not allow, and asks for values, which no trace has."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(1, 8, 3)
        self.linear = nn.Linear(8 * 13 * 13, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.convolution(x)), 2)
        assert x.sum() >= 0
        return self.linear(x.view(-1, torch.numel(x[0])))


def test_a_network_that_suits_neither_the_kernel_nor_channels_last_trains_all_the_same(mnist):
    torch.manual_seed(0)
    model = Viewing()
    state = TrainingState(model, CONFIG)
    assert state.kernels == "torch"
    assert "torch.fx cannot follow" in state.kernels_reason
    assert not takes_channels_last(model)
    first, *_, last = losses(train(model, mnist, CONFIG, state))
    assert last < first


@pytest.mark.parametrize(("kernels", "used"), [("auto", "fused"), ("fused", "fused"), ("torch", "torch")])
def test_the_state_tells_which_kernels_are_used(kernels, used):
    state = TrainingState(build(), replace(CONFIG, device="cpu", kernels=kernels))
    assert (state.kernels, state.kernels_reason) == (used, None)


def test_parameters_of_each_type_share_a_buffer_with_their_gradients():
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2).double(), nn.Linear(2, 1))
    model[2].weight.requires_grad_(False)
    before = [parameter.clone() for parameter in model.parameters()]
    single, double = one_buffer_for_each_dtype(model)
    assert (single.shape, double.shape, double.dtype) == ((9,), (6,), torch.float64)
    assert all(torch.equal(now, then) for now, then in zip(model.parameters(), before, strict=True))
    model[0](torch.ones(1, 3)).sum().backward()
    assert single.grad[:6].tolist() == [1.0] * 6
    with torch.no_grad():
        single.zero_()
    assert model[0].weight.count_nonzero() == 0


def test_read_at_once_as_on_a_gpu_the_losses_are_the_same_and_a_checkpoint_after_the_last_is_whole(mnist, monkeypatch):
    expected = losses(train(build(), mnist, CONFIG))
    monkeypatch.setitem(STEPS_AT_ONCE, "cpu", 3)
    model = build()
    state = TrainingState(model, CONFIG)
    found, seconds, checkpoint = [], [], None
    for event in train(model, mnist, CONFIG, state):
        if isinstance(event, BatchEvent):
            found.append(event.loss)
            seconds.append(event.seconds)
            if event.step == state.step == 6:
                checkpoint = deepcopy(state.state_dict())
    assert found == expected
    assert seconds == sorted(seconds)
    assert seconds[-1] == state.seconds
    other = build(seed=1)
    resumed = TrainingState(other, CONFIG)
    resumed.load_state_dict(checkpoint)
    assert losses(train(other, mnist, CONFIG, resumed)) == expected[6:]


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 3])
@pytest.mark.parametrize("schedule", ["constant", "one-cycle"])
def test_a_learning_rate_that_is_set_meanwhile_holds_from_its_step_on(at_once, schedule, mnist, monkeypatch):
    monkeypatch.setitem(STEPS_AT_ONCE, "cpu", at_once)
    config = replace(CONFIG, schedule=schedule)
    untouched, faster = losses(train(build(), mnist, config)), replace(config, learning_rate=0.01)
    changes, found = {}, []
    model = build()
    state = TrainingState(model, config)
    for event in train(model, mnist, config, state, learning_rates=changes):
        if isinstance(event, BatchEvent):
            found.append(event.loss)
            if event.step == state.step == 6:
                changes[7] = 0.01
                resumed = build()
                second = TrainingState(resumed, faster)
                second.load_state_dict(deepcopy(state.state_dict()))
    assert found[:7] == untouched[:7]  # the loss of the seventh is the one before it
    assert found[7:] != untouched[7:]
    assert found[6:] == losses(train(resumed, mnist, faster, second))
    assert found == losses(train(build(), mnist, config, learning_rates={7: 0.01}))


def test_a_divergence_among_losses_that_are_read_at_once_keeps_finite_weights(mnist, monkeypatch):
    monkeypatch.setitem(STEPS_AT_ONCE, "cpu", 5)
    model = build()
    config = replace(CONFIG, optimizer="sgd", learning_rate=900, epochs=5)
    with pytest.raises(Diverged):
        list(train(model, mnist, config))
    with torch.inference_mode():
        assert F.cross_entropy(model(mnist.train_images[:128]), mnist.train_labels[:128]).isfinite()


def test_shifted_images_give_other_losses_from_step_to_step_alike_after_a_resume(mnist):
    config = replace(CONFIG, shift=1)
    assert losses(train(build(), mnist, config)) == losses(train(build(), mnist, config))
    assert losses(train(build(), mnist, config)) != losses(train(build(), mnist, CONFIG))


def test_the_loss_falls(mnist):
    first, *_, last = losses(train(build(), mnist, replace(CONFIG, epochs=4)))
    assert last < first / 2


def test_the_same_seed_gives_the_same_losses_and_another_gives_others(mnist):
    once, again, other = (losses(train(build(seed), mnist, replace(CONFIG, seed=seed))) for seed in (5, 5, 6))
    assert once == again
    assert once != other


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", DEFINITIONS)
def test_every_definition_trains_with_every_optimizer(name, optimizer, mnist):
    config = replace(CONFIG, epochs=1, optimizer=optimizer, learning_rate=0.01)
    events = list(train(DEFINITIONS[name].build(0), mnist, config))
    assert math.isfinite(events[-1].test_loss)


def test_changed_images_give_other_losses(mnist):
    assert losses(train(build(), mnist, replace(CONFIG, augment=True))) != losses(train(build(), mnist, CONFIG))


def test_an_epoch_with_pen_digits_has_four_drawings_of_each(mnist, pen):
    config = replace(CONFIG, data="mnist+pen", epochs=1)
    events = list(train(build(), mnist, config, pen=pen))
    assert len(losses(events)) == math.ceil((1000 + 4 * 70) / 128)
    assert 0 < events[-1].pen_accuracy < 1


def test_a_recipe_with_pen_digits_says_so_where_there_are_none(mnist):
    with pytest.raises(InvalidConfig, match=r"data is 'mnist\+pen'"):
        next(train(build(), mnist, replace(CONFIG, data="mnist+pen")))


def test_pen_digits_that_are_only_tested_on_leave_the_losses_alone(mnist, pen):
    events = list(train(build(), mnist, CONFIG, pen=pen))
    without = list(train(build(), mnist, CONFIG))
    assert losses(events) == losses(without)
    first, last = (event for event in events if isinstance(event, EpochEvent))
    assert first.pen_accuracy is None  # it would take long beside an epoch of this recipe
    assert last.pen_accuracy is not None
    assert without[-1].pen_accuracy is None


@pytest.mark.slow
@pytest.mark.parametrize("steps", [0, 3, STEPS_PER_EPOCH, STEPS_PER_EPOCH + 1])
@pytest.mark.parametrize(
    ("factory", "config"),
    [
        (build, CONFIG),
        (with_dropout, CONFIG),
        (build, replace(CONFIG, **{**PRESETS["drawing"], "epochs": 2, "data": "mnist"})),
        (build, replace(CONFIG, data="mnist+pen", augment=True, shift=1)),
    ],
)
def test_going_on_from_a_checkpoint_gives_the_same_losses_and_weights(factory, config, steps, mnist, pen, tmp_path):
    whole = factory()
    expected = list(train(whole, mnist, config, pen=pen))

    model = factory()
    state = TrainingState(model, config)
    events = train(model, mnist, config, state, pen)
    before = [next(events) for _ in range(steps)]
    torch.save(state.state_dict(), tmp_path / "checkpoint.pt")
    torch.rand(7)  # whatever else draws random numbers must not matter

    resumed = factory()
    state = TrainingState(resumed, config)
    if steps:
        state.load_state_dict(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
    after = list(train(resumed, mnist, config, state, pen))

    assert losses(before + after) == losses(expected)
    assert [e.test_loss for e in after if isinstance(e, EpochEvent)][-1] == expected[-1].test_loss
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_a_loss_that_is_not_finite_ends_training_and_keeps_the_last_good_weights(mnist):
    config = replace(CONFIG, optimizer="sgd", learning_rate=1000)
    model = build()
    with pytest.raises(Diverged, match=r"learning rate \(1000\) is too high") as diverged:
        for event in train(model, mnist, config):
            assert math.isfinite(event.loss)
    assert "nan" in str(diverged.value) or "inf" in str(diverged.value)
    with torch.inference_mode():
        assert F.cross_entropy(model(mnist.train_images[:128]), mnist.train_labels[:128]).isfinite()


@pytest.mark.parametrize(("at_once", "bad_step"), [(1, 4), (3, 7)])
def test_after_a_divergence_the_weights_are_those_before_the_last_steps_with_finite_losses(
    at_once, bad_step, mnist, monkeypatch
):
    good, model = build(), build()
    for event in train(good, mnist, CONFIG):
        if event.step == 3:
            break
    monkeypatch.setitem(STEPS_AT_ONCE, "cpu", at_once)
    damaged = mnist.train_images.clone()
    damaged[shuffled(1000, CONFIG.seed, epoch=1)[bad_step * 128]] = math.nan
    with pytest.raises(Diverged, match=rf"became nan in epoch 1, after step {bad_step}:"):
        list(train(model, replace(mnist, train_images=damaged), CONFIG))
    assert all(torch.equal(*pair) for pair in zip(good.parameters(), model.parameters(), strict=True))


def test_images_for_validation_are_not_trained_on_and_are_what_it_is_measured_on(mnist):
    config = TrainingConfig(epochs=1, batch_size=100, threads=1, validation=300)
    model = DEFINITIONS["sequential"].build(seed=0)
    *batches, epoch = train(model, mnist, config)
    assert len(batches) == 7
    expected = evaluate(model, mnist.train_images[700:], mnist.train_labels[700:])
    assert (epoch.validation_loss, epoch.validation_accuracy) == tuple(expected)

    without = replace(mnist, train_images=mnist.train_images[:700], train_labels=mnist.train_labels[:700])
    *others, _ = train(DEFINITIONS["sequential"].build(seed=0), without, replace(config, validation=0))
    assert [each.loss for each in batches] == [each.loss for each in others]


@pytest.mark.slow
def test_training_leaves_pytorchs_compiler_out():
    code = """
import sys
from cnnlab.data import mnist as data
from cnnlab.models import definitions as models
from cnnlab.training.loop import train
from cnnlab.training.optimizers import OPTIMIZERS
from cnnlab.training.recipe import TrainingConfig
from cnnlab.training.state import TrainingState
mnist = data.load(train_images_as_bytes=True).first(train=256, test=1)
for optimizer in OPTIMIZERS:
    config = TrainingConfig(epochs=1, device="cpu", threads=1, optimizer=optimizer)
    model = models.DEFINITIONS["module"].build(0)
    state = TrainingState(model, config)
    list(train(model, mnist, config, state))
    state.load_state_dict(state.state_dict())
sys.exit("torch._dynamo" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
