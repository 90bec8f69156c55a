import re

import pytest

from cnnlab.models.definitions import DEFINITIONS

# By hand: a convolution of n filters over c channels has n (9 c + 1) numbers, and reads 9 c for each of its outputs.
TUTORIAL = [
    ("Conv2d", "8 × 26 × 26", 8 * (9 * 1 + 1), 8 * 26 * 26 * 9 * 1),
    ("ReLU", "8 × 26 × 26", 0, 0),
    ("MaxPool2d", "8 × 13 × 13", 0, 0),
    ("Conv2d", "16 × 11 × 11", 16 * (9 * 8 + 1), 16 * 11 * 11 * 9 * 8),
    ("ReLU", "16 × 11 × 11", 0, 0),
    ("MaxPool2d", "16 × 5 × 5", 0, 0),
    ("Flatten", "400", 0, 0),
    ("Linear", "64", 64 * 401, 64 * 400),
    ("ReLU", "64", 0, 0),
    ("Linear", "32", 32 * 65, 32 * 64),
    ("ReLU", "32", 0, 0),
    ("Linear", "10", 10 * 33, 10 * 32),
]
BRANCH = [
    ("Conv2d", "8 × 13 × 13", 8 * (9 * 8 + 1), 8 * 13 * 13 * 9 * 8),
    ("ReLU", "8 × 13 × 13", 0, 0),
    ("Add", "8 × 13 × 13", 0, 0),
]


@pytest.mark.parametrize(
    ("name", "rows"),
    [("sequential", TUTORIAL), ("module", TUTORIAL), ("residual", [*TUTORIAL[:3], *BRANCH, *TUTORIAL[3:]])],
)
def test_the_table_of_layers_is_the_one_worked_out_by_hand(name, rows, open_page):
    page = open_page("write")
    page.session_state["write_part"] = "The tutorial's two"
    page.run()
    page.segmented_control[0].set_value(name).run()
    table = page.table[0].value
    columns = ["Kind", "Output shape", "Parameters", "Multiply-adds"]
    shown = list(table[columns].itertuples(index=False, name=None))
    assert shown[:-1] == rows
    assert shown[-1] == ("", "", sum(row[2] for row in rows), sum(row[3] for row in rows))


@pytest.mark.parametrize(
    ("name", "rows"),
    [("sequential", TUTORIAL), ("module", TUTORIAL), ("residual", [*TUTORIAL[:3], *BRANCH, *TUTORIAL[3:]])],
)
def test_the_lines_of_a_typed_network_have_the_costs_worked_out_by_hand(name, rows, open_page):
    page = open_page("write")
    page.text_area(key="source").set_value(DEFINITIONS[name].source).run()
    table = page.table[0].value
    shown = list(table[["Out", "Parameters", "Multiply-adds"]].itertuples(index=False, name=None))
    assert shown == [row[1:] for row in rows] + [("", sum(row[2] for row in rows), sum(row[3] for row in rows))]
    assert table["In"].tolist()[:2] == ["1 × 28 × 28", rows[0][1]]
    lines = DEFINITIONS[name].source.splitlines()
    kinds = {"Conv2d": "conv|branch", "Linear": "fc|Linear", "Flatten": "latten", "Add": r"x \+"}
    for line, (kind, *_) in zip(table["Line"], rows, strict=False):
        assert re.search(kinds.get(kind, "relu|ReLU|pool|Pool"), lines[int(line) - 1], re.IGNORECASE)


def test_the_tutorials_last_losses_are_named(open_page):
    page = open_page("write")
    page.session_state["write_part"] = "The proof"
    page.run()
    assert any("0.0431 for nn.Sequential and 0.0359 for nn.Module" in each.value for each in page.markdown)
