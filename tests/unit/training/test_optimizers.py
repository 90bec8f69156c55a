import pytest
import torch
import torch.nn.functional as F

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.training.optimizers import MOST_CHANGES, OPTIMIZERS, highest_learning_rate, learning_rate_at, with_change
from cnnlab.training.recipe import TrainingConfig, optimizer_arguments


def test_a_constant_learning_rate_is_the_recipes():
    assert [learning_rate_at(progress, 0.01, "constant") for progress in (0.001, 0.25, 0.999)] == [0.01] * 3


@pytest.mark.parametrize(
    ("progress", "share"), [(0.05, 0.2), (0.125, 0.5), (0.25, 1), (0.4, 0.8), (0.625, 0.5), (0.85, 0.2), (1, 0)]
)
def test_one_cycle_rises_for_a_quarter_and_falls_to_nothing(progress, share):
    assert learning_rate_at(progress, 0.02, "one-cycle") == pytest.approx(0.02 * share)


def test_the_learning_rate_that_is_set_last_holds_until_another_is():
    changes = {5: 0.1, 9: 0.3}
    assert [highest_learning_rate(step, 0.01, changes) for step in (1, 4, 5, 8, 9, 99)] == [
        0.01,
        0.01,
        0.1,
        0.1,
        0.3,
        0.3,
    ]
    assert highest_learning_rate(7, 0.01, {}) == 0.01


def test_a_change_undoes_those_of_later_steps():
    assert with_change({5: 0.1, 9: 0.3}, 7, 0.2) == {5: 0.1, 7: 0.2}
    assert with_change({5: 0.1}, 5, 0.2) == {5: 0.2}
    assert list(with_change({5: 0.1, 9: 0.3}, 9, 0.2).items()) == [(5, 0.1), (9, 0.2)]


def test_a_run_can_be_changed_a_thousand_times():
    changes = {}
    for step in range(1, MOST_CHANGES + 1):
        changes = with_change(changes, step, 0.1)
    assert len(changes) == MOST_CHANGES == 1_000
    with pytest.raises(ValueError, match="more than 1,000 times"):
        with_change(changes, 1_001, 0.1)
    assert len(with_change(changes, 1_000, 0.2)) == 1_000


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_does_what_pytorchs_does(name, mnist):
    config = TrainingConfig(optimizer=name)
    ours, theirs = DEFINITIONS["module"].build(0), DEFINITIONS["module"].build(0)
    classes = (OPTIMIZERS[name], OPTIMIZERS[name].__base__)
    made = [
        (model, optimizer(model.parameters(), **optimizer_arguments(config)))
        for model, optimizer in zip((ours, theirs), classes, strict=True)
    ]
    for _ in range(3):
        for model, optimizer in made:
            optimizer.zero_grad()
            F.cross_entropy(model(mnist.test_images), mnist.test_labels).backward()
            optimizer.step()
    assert all(torch.equal(*pair) for pair in zip(ours.parameters(), theirs.parameters(), strict=True))
