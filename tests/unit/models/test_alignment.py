from dataclasses import replace

import pytest
from torch import nn

from cnnlab.models.alignment import CannotAlign, aligned_rows, source_diff
from cnnlab.models.definitions import DEFINITIONS

SEQUENTIAL, MODULE, RESIDUAL = (DEFINITIONS[name] for name in ("sequential", "module", "residual"))


class WithALongStatement(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(784, 10)

    def forward(self, x):
        x = x.flatten(
            start_dim=1,  # all but the batch axis
        )
        size = x.shape[0]
        return self.layer(x).view(size, 10)


def built_elsewhere():
    layers = [nn.Flatten(), nn.Linear(784, 10)]
    return nn.Sequential(*layers)


def test_the_two_definitions_in_line():
    rows = aligned_rows(SEQUENTIAL, MODULE)
    assert rows[0].first == "nn.Conv2d(1, 8, kernel_size=3),\nnn.ReLU(),\nnn.MaxPool2d(2),"
    assert rows[0].second == ("self.conv1 = nn.Conv2d(1, 8, kernel_size=3)\nx = F.max_pool2d(F.relu(self.conv1(x)), 2)")
    assert (rows[0].input_shape, rows[0].output_shape) == ((1, 28, 28), (8, 13, 13))
    assert (rows[2].first, rows[2].second) == ("nn.Flatten(),", "x = x.flatten(start_dim=1)")
    assert rows[-1].second == "self.fc3 = nn.Linear(32, 10)\nreturn self.fc3(x)"
    assert [row.output_shape for row in rows] == [(8, 13, 13), (16, 5, 5), (400,), (64,), (32,), (10,)]


def test_nothing_of_a_list_is_lost():
    rows = aligned_rows(SEQUENTIAL, MODULE)
    assert sum(row.first.count("nn.") for row in rows) == 12


def test_statements_of_many_lines_and_without_layers():
    written = replace(MODULE, name="long", factory=WithALongStatement)
    first, second = aligned_rows(written, written)
    assert first.first == "x = x.flatten(\n    start_dim=1,  # all but the batch axis\n)"
    assert second.first.splitlines() == [
        "size = x.shape[0]",
        "self.layer = nn.Linear(784, 10)",
        "return self.layer(x).view(size, 10)",
    ]


def test_other_operations_cannot_be_laid_side_by_side():
    with pytest.raises(CannotAlign, match=r"Residual nn\.Module do not do the same operations"):
        aligned_rows(MODULE, RESIDUAL)


def test_a_source_that_cannot_be_taken_apart_is_refused():
    written = replace(SEQUENTIAL, name="elsewhere", title="Built elsewhere", factory=built_elsewhere)
    with pytest.raises(CannotAlign, match="Built elsewhere cannot be taken apart"):
        aligned_rows(written, written)


def test_the_residual_network_differs_by_its_name_and_two_lines():
    marked = [line for line in source_diff(MODULE.source, RESIDUAL.source).splitlines() if line[0] in "+-"]
    assert marked == [
        "-class Net(nn.Module):",
        "+class ResidualNet(nn.Module):",
        "+        self.branch = nn.Conv2d(8, 8, kernel_size=3, padding=1)",
        "+        x = x + F.relu(self.branch(x))  # -> (8, 13, 13)",
    ]
    assert source_diff(MODULE.source, MODULE.source) == ""
