from datetime import UTC, datetime, timedelta

import pytest

from cnnlab.wording import ago, duration, in_one_line, percent, plural


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [("größer 7.png", "größer 7.png"), ("a\tb\x1b[31m\n", r"a\tb\x1b[31m\n"), ("caf\udce9.png", r"caf\udce9.png")],
)
def test_a_name_from_outside_is_one_line_that_can_be_printed(text, shown):
    assert in_one_line(text) == shown
