import pandas as pd
import pytest

from cnnlab.inference.calibration import Calibration
from cnnlab.ui.answers.reliability import _sentence


def told(temperature, before=0.0312, after=0.0124):
    return _sentence(Calibration(temperature, pd.DataFrame(), before, after)).replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("temperature", "way"),
    [
        (1.77, "too sure of itself: its temperature is 1.77"),
        (0.8, "not sure enough of itself: its temperature is 0.80"),
    ],
)
def test_a_temperature_above_one_is_of_a_network_that_is_too_sure(temperature, way):
    assert told(temperature) == (
        f"**It is {way}.** What it states and how often it is right lie 3.1 % apart in the mean; divided by the "
        "temperature, 1.2 %."
    )


@pytest.mark.parametrize(("after", "helps"), [(0.0311, True), (0.0312, False), (0.04, False)])
def test_where_the_temperature_does_not_help_it_is_said(after, helps):
    assert ("Here that does not help" not in told(1.77, after=after)) is helps


@pytest.mark.parametrize("temperature", [1.004, 0.996])
def test_a_temperature_of_one_is_neither(temperature):
    assert told(temperature, before=0.0312, after=0.0311) == (
        "**It is neither too sure of itself nor not sure enough: its temperature is 1.00.** What it states and how "
        "often it is right lie 3.1 % apart in the mean; divided by the temperature, 3.1 %."
    )
