import csv as csv_module
import io

import pandas as pd
import pytest

from cnnlab.ui.frame.wording import as_text, csv_of, in_cell


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


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1+2", "@SUM(A1)"])
def test_in_a_csv_no_text_begins_like_a_formula_and_numbers_stay_numbers(text):
    csv = csv_of(pd.DataFrame({"run": [text, "nn.Module"], "loss": [-1.5, 2.0]}))
    cells = list(csv_module.reader(io.StringIO(csv, newline="")))
    assert cells == [["run", "loss"], [f"'{text}", "-1.5"], ["nn.Module", "2.0"]]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@sum"])
def test_a_cell_that_a_spreadsheet_would_take_for_a_formula_begins_with_a_sign_that_is_not_seen(name):
    assert in_cell(name) == f"\u2060{name}"
    assert in_cell("Mine = 1") == "Mine = 1"
