import pytest

from cnnlab.training.optimizers import highest_learning_rate, learning_rate_at, with_change


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
