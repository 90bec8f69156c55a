import csv as csv_module
import io
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from cnnlab.ui.frame.wording import ago, as_text, csv_of, duration, percent, plural


def test_a_name_is_shown_letter_by_letter():
    assert as_text("**bold** :red[x] $y$ <b>") == "\\*\\*bold\\*\\* \\:\u2060red\\[x\\] \\$y\\$ \\<b\\>"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb\x00", "a\ufffdb\ufffd"),
        ("12:-1:", "12\\:\u2060\\-1\\:"),
        ("www.x.org", "www\u2060\\.x\\.org"),
        ("a@b.co", "a@\u2060b\\.co"),
        ("a -> b", "a \\-\u2060\\> b"),
    ],
)
def test_what_a_page_would_make_a_line_an_icon_a_link_or_an_arrow_of_is_kept_apart(name, shown):
    assert as_text(name) == shown


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


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1+2", "@SUM(A1)"])
def test_in_a_csv_no_text_begins_like_a_formula_and_numbers_stay_numbers(text):
    csv = csv_of(pd.DataFrame({"run": [text, "nn.Module"], "loss": [-1.5, 2.0]}))
    cells = list(csv_module.reader(io.StringIO(csv, newline="")))
    assert cells == [["run", "loss"], [f"'{text}", "-1.5"], ["nn.Module", "2.0"]]
