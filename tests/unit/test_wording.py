from datetime import UTC, datetime, timedelta

import pytest

from cnnlab.wording import ago, as_line, duration, in_one_line, loss_text, percent, percent_range, plural, shape_text


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


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 0 min"),
        (90_061, "25 h 1 min"),
    ],
)
def test_a_duration_changes_its_unit_at_a_full_minute_and_hour(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (58, "just now"),
        (119, "1 min ago"),
        (3_598, "59 min ago"),
        (3_600, "1 hour ago"),
        (86_398, "23 hours ago"),
        (86_400, "1 day ago"),
        (172_800, "2 days ago"),
    ],
)
def test_an_age_counts_what_is_full(seconds, words):
    assert ago(datetime.now(UTC) - timedelta(seconds=seconds)) == words


def test_none_is_many():
    assert plural(0, "run") == "0 runs"


@pytest.mark.parametrize(
    ("loss", "written"), [(0.04306, "0.0431"), (999.99, "999.9900"), (1000.0, "1e+03"), (248_123.0, "2.48e+05")]
)
def test_a_loss_that_has_exploded_is_short(loss, written):
    assert loss_text(loss) == written


def test_shapes_and_intervals():
    assert shape_text((8, 26, 1_024)) == "8 × 26 × 1,024"
    assert percent_range(0.98184, 0.98656) == "98.18 % to 98.66 %"


def test_what_cannot_be_printed_is_replaced_and_a_family_stays_together():
    assert as_line("a\tb\u202ec") == "a\ufffdb\ufffdc"
    assert as_line("👩\u200d👧") == "👩\u200d👧"
