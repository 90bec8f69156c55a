import math

import pytest
import torch

from cnnlab.data.pen_digits import load_drawn
from cnnlab.inference.calibration import calibration_of, expected_error, reliability, temperature_for
from cnnlab.inference.networks import newest_network_of
from cnnlab.runs.shelf import find_run
from cnnlab.training.evaluation import predict_logits


def honest_answers(count=40_000):
    """Return logits, and labels that are drawn with exactly the probabilities that the logits state."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(count, 10, generator=generator)
    return logits, torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]


@pytest.mark.slow
@pytest.mark.parametrize("factor", [0.5, 1, 3])
def test_the_temperature_takes_back_what_made_a_network_too_sure(factor):
    logits, labels = honest_answers()
    assert temperature_for(factor * logits, labels) == pytest.approx(factor, rel=0.03)


def test_an_honest_network_has_a_curve_on_the_diagonal():
    curve = reliability(*honest_answers())
    assert curve["answers"].sum() == 40_000
    assert (curve["stated"] - curve["right"]).abs().max() < 0.03
    assert expected_error(curve) < 0.01


def test_a_network_that_is_always_sure_and_right_half_the_time_is_off_by_a_half():
    logits = torch.zeros(100, 10)
    logits[:, 3] = 50
    labels = torch.tensor([3, 4]).repeat(50)
    curve = reliability(logits, labels)
    assert curve["answers"].tolist() == [0, 0, 0, 0, 0, 0, 100]
    assert expected_error(curve) == pytest.approx(0.5)


def test_a_run_is_better_calibrated_after_scaling_than_before():
    calibration = calibration_of(find_run("reference-sequential"))
    assert calibration.temperature > 1
    assert calibration.error_after < calibration.error_before
    assert set(calibration.curve["scaled"]) == {False, True}


def test_the_ranges_begin_with_their_lower_edge():
    """Two logits that differ by ln(p / (1 - p)) state the probability p; the others are far below."""
    stated = torch.tensor([0.45, 0.55, 0.65, 0.75, 0.85, 0.95, 0.995, 0.58], dtype=torch.float64)
    logits = torch.full((8, 10), -1e3, dtype=torch.float64)
    logits[:, 4], logits[:, 5] = 0.0, torch.log((1 - stated) / stated)
    logits[0, 5:8] = torch.log(torch.tensor((1 - 0.45) / 0.45 / 3))
    curve = reliability(logits, torch.tensor([4, 4, 4, 5, 4, 4, 5, 5]))
    assert curve["low"].tolist() == [0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99]
    assert curve["high"].tolist() == [0.5, 0.6, 0.7, 0.8, 0.9, 0.99, 1]
    assert curve["answers"].tolist() == [1, 2, 1, 1, 1, 1, 1]
    assert curve["stated"].tolist() == pytest.approx([0.45, 0.565, 0.65, 0.75, 0.85, 0.95, 0.995])
    assert curve["right"].tolist() == [1, 0.5, 1, 0, 1, 1, 0]
    errors = [0.55, 2 * 0.065, 0.35, 0.75, 0.15, 0.05, 0.995]
    assert expected_error(curve) == pytest.approx(sum(errors) / 8)


@pytest.mark.parametrize(("right", "temperature"), [(True, 0.05), (False, 20)])
def test_the_temperature_stays_within_its_bounds(right, temperature):
    logits = torch.zeros(10, 10)
    logits[:, 3] = 1
    assert temperature_for(logits, torch.full((10,), 3 if right else 4)) == pytest.approx(temperature)


def test_a_runs_curve_before_scaling_is_of_its_own_logits_and_after_of_the_divided_ones():
    run = find_run("reference-sequential")
    calibration = calibration_of(run)
    images, labels = load_drawn("testing")
    logits = predict_logits(newest_network_of(run).module, images)
    for scaled, divisor, error in (
        (False, 1, calibration.error_before),
        (True, calibration.temperature, calibration.error_after),
    ):
        confidences, answers = (logits.double() / divisor).softmax(1).max(1)
        told = calibration.curve[calibration.curve["scaled"] == scaled]
        surest = confidences >= 0.99
        assert told["answers"].iloc[-1] == surest.sum()
        assert told["right"].iloc[-1] == pytest.approx((answers == labels)[surest].double().mean().item())
        assert error == expected_error(told)


@pytest.mark.parametrize("apart", [0.2, 2, 9])
def test_of_two_answers_the_temperature_is_the_one_that_states_how_often_each_is_right(apart):
    """Right three times of four, the probability to state is 3/4: the logits must differ by ln 3."""
    logits = torch.full((8, 10), -1e6)
    logits[:, 3], logits[:, 4] = apart, 0
    labels = torch.tensor([3, 3, 3, 4]).repeat(2)
    assert temperature_for(logits, labels) == pytest.approx(apart / math.log(3), rel=1e-6)


def test_a_probability_at_an_edge_belongs_to_the_range_above_and_an_empty_range_says_nothing():
    logits = torch.full((3, 10), -1e3)
    logits[:, 1:3] = 0
    curve = reliability(logits, torch.tensor([1, 1, 7]))
    assert curve["answers"].tolist() == [0, 3, 0, 0, 0, 0, 0]
    assert curve["stated"].tolist()[1] == 0.5
    assert curve["right"].tolist()[1] == pytest.approx(2 / 3)
    assert curve.drop(1)[["stated", "right"]].isna().all(axis=None)
