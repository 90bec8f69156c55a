import math
import re
from dataclasses import replace

import pytest
import torch
from stepped import CONFIG, NETWORKS
from torch import optim

from cnnlab.stepping.forward import loss_in
from cnnlab.stepping.update import (
    losses_along,
    optimizer_state,
    rule_of,
    weight_by_gradient_alone,
    with_learning_rate,
)
from cnnlab.training.optimizers import OPTIMIZERS, learning_rate_at

RECIPES = [
    {"optimizer": name, "weight_decay": decay, "schedule": schedule}
    for name in OPTIMIZERS
    for decay, schedule in ((0.0, "constant"), (0.01, "one-cycle"))
] + [{"optimizer": "rmsprop", "momentum": 0.0}, {"optimizer": "sgd", "momentum": 0.0}]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: "-".join(str(each) for each in recipe.values()))
def test_the_rule_ends_at_the_weight_that_pytorch_has(stepper, network, recipe):
    config = replace(CONFIG, **recipe)
    stepped = stepper(config, network)
    for number in (1, 2, 20):
        step = stepped.step(number)
        assert step.learning_rate == learning_rate_at((number - 0.5) / 48, config.learning_rate, config.schedule)
        for name, after in step.after.named_parameters():
            for place in torch.linspace(0, after.numel() - 1, 4).long():
                index = tuple(int(each) for each in torch.unravel_index(place, after.shape))
                lines = rule_of(step, config, name, index)
                before = step.before.get_parameter(name)[index].item()
                tolerance = 1e-4 * abs(after[index].item() - before) + 2e-7 * abs(before)
                assert abs(lines[-1].value - after[index].item()) <= tolerance, (name, index)


def test_the_rule_of_the_tutorial_is_written_with_its_numbers(stepper):
    step = stepper().step(2)
    mean, root, scaled, velocity, new = rule_of(step, CONFIG, "conv1.weight", (0, 0, 1, 1))
    known = {name: of_it["conv1.weight"][0, 0, 1, 1].item() for name, of_it in optimizer_state(step).items()}
    gradient = step.gradients["conv1.weight"][0, 0, 1, 1].item()
    assert mean.value == pytest.approx(0.99 * known["square_avg"] + 0.01 * gradient**2)
    assert root.value == pytest.approx(math.sqrt(mean.value) + 1e-8)
    assert scaled.value == pytest.approx(gradient / root.value)
    assert velocity.value == pytest.approx(0.9 * known["momentum_buffer"] + scaled.value)
    assert new.value == pytest.approx(step.before.conv1.weight[0, 0, 1, 1].item() - 0.001 * velocity.value)
    assert velocity.numbers.startswith(r"0.9 \cdot ")


def worked_out(numbers):
    """Return what a formula in LaTeX comes to."""
    text = re.sub(r"\^(\d)|\^\{(-?\d+)\}", r"**(\1\2)", numbers).replace(r"\cdot", "*")
    return eval(re.sub(r"\\sqrt\{([^{}]*)\}", r"math.sqrt(\1)", text))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: "-".join(str(each) for each in recipe.values()))
def test_the_numbers_of_each_line_come_to_its_value(stepper, recipe):
    config = replace(CONFIG, **recipe)
    for number in (1, 3):
        step = stepper(config).step(number)
        for line in rule_of(step, config, "conv1.weight", (0, 0, 1, 1)):
            assert worked_out(line.numbers) == pytest.approx(line.value, rel=1e-3), line
            assert not re.search(r"[-+/t] ?-", line.numbers), line  # a negative number behind a sign has brackets
            assert not re.search(r"\([\d.]+\)", line.numbers), line  # and a positive one none


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_same_step_with_its_own_learning_rate_is_the_same_step(stepper, optimizer):
    config = replace(CONFIG, optimizer=optimizer, weight_decay=0.01)
    stepped = stepper(config, "norm and dropout")
    for number in (1, 3):
        step = stepped.step(number)
        again = with_learning_rate(step, config, step.learning_rate)
        for name, numbers in step.after.named_parameters():
            assert torch.equal(again.get_parameter(name), numbers)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_another_learning_rate_goes_the_same_way_further(stepper, optimizer):
    config = replace(CONFIG, optimizer=optimizer, weight_decay=0.01)
    step = stepper(config).step(3)
    shares = (0.0, 0.25, 1.0, 4.0)
    along = losses_along(step, shares)
    for share, loss in zip(shares, along, strict=True):
        assert loss_in(step, with_learning_rate(step, config, share * step.learning_rate)) == pytest.approx(
            loss, rel=1e-3
        )
    assert along[0] == pytest.approx(step.loss, rel=1e-5)
    assert along[2] == loss_in(step, step.after)


def test_a_plain_sgd_step_is_the_gradient_times_the_rate(stepper):
    config = replace(CONFIG, optimizer="sgd", momentum=0.0, learning_rate=0.1)
    step = stepper(config).step(1)
    network = step.before
    optimizer = optim.SGD(network.parameters(), lr=0.5)
    for name, each in network.named_parameters():
        each.grad = step.gradients[name]
    found = with_learning_rate(step, config, 0.5)
    optimizer.step()
    for name, numbers in network.named_parameters():
        torch.testing.assert_close(found.get_parameter(name), numbers)


def test_what_the_steps_before_left_is_the_momentum_of_the_velocity(stepper):
    step = stepper().step(3)
    index = ("conv1.weight", (0, 0, 1, 1))
    velocity = optimizer_state(step)["momentum_buffer"]["conv1.weight"][0, 0, 1, 1].item()
    left = rule_of(step, CONFIG, *index)[-1].value - weight_by_gradient_alone(step, CONFIG, *index)
    assert left == pytest.approx(-0.001 * 0.9 * velocity)
    plain = replace(CONFIG, optimizer="sgd", momentum=0.0)
    step = stepper(plain).step(3)
    assert rule_of(step, plain, *index)[-1].value == weight_by_gradient_alone(step, plain, *index)
