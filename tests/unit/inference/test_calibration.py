import pytest
import torch

from cnnlab.inference.calibration import calibration_of, expected_error, reliability, temperature_for
from cnnlab.runs.shelf import find_run


def honest_answers(count=40_000):
    """Return logits, and labels that are drawn with exactly the probabilities that the logits state."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(count, 10, generator=generator)
    return logits, torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]


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
