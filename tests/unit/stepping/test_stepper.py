import itertools
import random
from dataclasses import replace

import pytest
import torch
from stepped import CONFIG, NETWORKS, built
from torch import nn

from cnnlab.data import mnist as data
from cnnlab.drawing.pen import load_pen_data
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run
from cnnlab.stepping import stepper as stepping
from cnnlab.stepping.stepper import CannotStep, Stepper, TooLarge
from cnnlab.training.events import BatchEvent
from cnnlab.training.loop import Diverged, train
from cnnlab.training.recipe import PRESETS, InvalidConfig, TrainingConfig
from cnnlab.workers.scheduler import scheduler

pytestmark = pytest.mark.slow

ALL = 48


def losses_of_run(mnist, config, network="module", pen=None, count=None):
    events = train(built(network, config.seed), mnist, config, pen=pen)
    return [each.loss for each in itertools.islice((each for each in events if isinstance(each, BatchEvent)), count)]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("optimizer", ["rmsprop", "sgd", "nesterov", "adam", "adamw"])
def test_the_losses_are_those_of_the_loop_to_the_bit(stepper, mnist, network, optimizer):
    config = replace(CONFIG, optimizer=optimizer, weight_decay=0.01, schedule="one-cycle", kernels="torch")
    stepped = stepper(config, network)
    for number in (1, 5, 3, 40, 17, 48):
        stepped.step(number)
    assert stepped.losses == losses_of_run(mnist, config, network)


@pytest.mark.parametrize("preset", PRESETS)
def test_each_preset_is_stepped_as_it_is_trained(stepper, mnist, pen, preset):
    config = TrainingConfig(**{**PRESETS[preset], "epochs": 2, "batch_size": 64, "threads": 1, "augment": True})
    stepped = stepper(config, pen=pen)
    assert [stepped.step(number).loss for number in range(1, 21)] == losses_of_run(mnist, config, pen=pen, count=20)


def test_two_hundred_steps_have_the_losses_that_a_worker_logs(wait_for):
    config = TrainingConfig(epochs=1, device="cpu")
    run = create_run(DEFINITIONS["module"], config)
    scheduler().start(run)
    wait_for(lambda: not run.status.is_active)
    torch.set_flush_denormal(True)  # as a worker does
    stepped = Stepper(DEFINITIONS["module"].build(config.seed), data.load(train_images_as_bytes=True), config)
    stepped.reach(200)
    assert stepped.losses == run.history().batches["loss"].tolist()[:200]


def test_there_and_back_fifty_times_ends_in_the_same_bits(stepper):
    stepped = stepper(network="norm and dropout")
    first = {number: stepped.step(number) for number in range(1, 9)}
    chosen = random.Random(0)
    for number in [chosen.randint(1, ALL) for _ in range(50)]:
        stepped.step(number)
    stepped._kept.clear()
    for number, expected in first.items():
        found = stepped.step(number)
        assert torch.equal(found.images, expected.images)
        assert torch.equal(found.random_state, expected.random_state)
        for name, numbers in expected.after.state_dict().items():
            assert torch.equal(found.after.state_dict()[name], numbers)
        for name, numbers in expected.gradients.items():
            assert torch.equal(found.gradients[name], numbers)


def test_one_step_ends_where_the_next_begins(stepper):
    stepped = stepper()
    first, second = stepped.step(16), stepped.step(17)
    assert (first.epoch, first.batch, second.epoch, second.batch) == (1, 16, 2, 1)
    for name, numbers in first.after.state_dict().items():
        assert torch.equal(second.before.state_dict()[name], numbers)


def test_a_batch_is_the_one_that_was_trained_on(stepper, mnist):
    step = stepper().step(1)
    assert len(step.images) == len(step.labels) == 64
    assert torch.equal(step.images, mnist.train_images[step.places])
    assert torch.equal(step.labels, mnist.train_labels[step.places])


def test_a_step_knows_its_epoch_and_its_place_in_it(stepper):
    stepped = stepper()
    told = {number: (step := stepped.step(number)) and (step.epoch, step.batch, step.batches) for number in (1, 16, 17)}
    assert told == {1: (1, 1, 16), 16: (1, 16, 16), 17: (2, 1, 16)}


def test_the_loss_of_a_step_that_was_taken_is_told_again(stepper):
    stepped = stepper()
    stepped.reach(4)
    assert [stepped.reach(number) for number in (1, 2, 3, 4)] == stepped.losses
    assert len(set(stepped.losses)) == 4


def test_snapshots_and_steps_stay_within_their_memory_and_the_way_back_is_as_exact(stepper, mnist, monkeypatch):
    monkeypatch.setattr(stepping, "BYTES_FOR_SNAPSHOTS", 2_000_000)
    monkeypatch.setattr(stepping, "BYTES_FOR_STEPS", 2_000_000)
    monkeypatch.setattr(stepping, "BYTES_FOR_RECENT_STATES", 1_500_000)
    stepped = stepper()
    expected = [stepped.step(number).loss for number in range(1, ALL + 1)]
    assert 2 <= len(stepped._snapshots) <= 2_000_000 / 375_000
    assert 0 in stepped._snapshots
    assert len(stepped._kept) < 5
    assert len(stepped._recent) == 4
    assert stepped.nbytes < 6_000_000
    stepped._kept.clear()
    step = stepped.step(30)
    assert step.loss == expected[29]
    assert step.after is not step.before


def test_the_process_keeps_its_random_numbers_and_threads(stepper):
    torch.manual_seed(7)
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    stepper(replace(CONFIG, threads=2), "norm and dropout").step(3)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_a_step_that_diverges_is_told_and_the_ones_before_stay(stepper):
    stepped = stepper(replace(CONFIG, optimizer="nesterov", learning_rate=1000.0))
    with pytest.raises(Diverged, match="learning rate"):
        stepped.reach(ALL)
    reached = len(stepped.losses)
    assert 1 <= reached < ALL
    with pytest.raises(Diverged):
        stepped.step(reached + 1)
    assert stepped.step(1).loss == stepped.losses[0]


def test_a_network_too_large_or_whose_code_takes_no_step_is_refused_in_a_sentence(mnist):
    with pytest.raises(TooLarge, match="This network has 785,000 parameters"):
        Stepper(nn.Sequential(nn.Flatten(), nn.Linear(784, 1000)), mnist, CONFIG)
    one_by_one = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.BatchNorm1d(10))
    with pytest.raises(CannotStep, match="does not take this step: Expected more than 1 value"):
        Stepper(one_by_one, mnist, replace(CONFIG, batch_size=1)).step(1)


def test_the_places_of_a_batch_with_drawings_are_those_of_its_images(mnist, pen):
    config = TrainingConfig(**{**PRESETS["drawing"], "threads": 1, "shift": 0})
    step = Stepper(built("module", 0), mnist, config, pen).step(1)
    is_mnist = step.places < len(mnist.train_labels)
    assert 0 < is_mnist.sum() < len(is_mnist)
    assert torch.equal(step.images[is_mnist], mnist.train_images[step.places[is_mnist]])
    assert torch.equal(step.labels[is_mnist], mnist.train_labels[step.places[is_mnist]])


def test_a_network_may_have_half_a_million_parameters_and_a_batch_512_images(stepper, mnist):
    def network(parameters):
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
        model.register_parameter("more", nn.Parameter(torch.zeros(parameters - 7_850)))
        return model

    Stepper(network(500_000), mnist, CONFIG)
    with pytest.raises(TooLarge, match=r"500,001 parameters, .* with up to 500,000: choose"):
        Stepper(network(500_001), mnist, CONFIG)
    stepper(replace(CONFIG, batch_size=512))
    with pytest.raises(InvalidConfig, match="batch_size is 513; allowed is at most 512"):
        stepper(replace(CONFIG, batch_size=513))


def test_the_recipe_for_drawing_takes_the_pen_digits_in(stepper, mnist):
    config = TrainingConfig(**{**PRESETS["drawing"], "threads": 1})
    step = Stepper(built("module", 0), mnist, config, load_pen_data(with_training=True)).step(1)
    assert (step.places >= len(mnist.train_labels)).any()
