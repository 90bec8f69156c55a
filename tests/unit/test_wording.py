from datetime import UTC, datetime, timedelta

import pytest

from cnnlab.wording import ago, duration, percent, plural


@pytest.mark.parametrize(("seconds", "words"), [(7.6, "8 s"), (65, "1 min 5 s"), (7380, "2 h 3 min")])
def test_durations(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(5, "just now"), (61, "1 min ago"), (7300, "2 hours ago"), (90_000, "1 day ago")],
)
def test_ages(seconds, words):
    assert ago(datetime.now(UTC) - timedelta(seconds=seconds)) == words


def test_numbers_with_their_units():
    assert percent(0.98426) == "98.43 %"
    assert plural(1, "run") == "1 run"
    assert plural(2000, "run") == "2,000 runs"
