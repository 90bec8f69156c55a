import pytest
from click.testing import CliRunner

from cnnlab.cli.main import main
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.models.reading.source import read
from cnnlab.models.reading.understanding import understand
from cnnlab.models.writing import as_module
from cnnlab.networks.shelf import network_named
from cnnlab.runs.shelf import all_runs


@pytest.fixture
def call(tmp_path):
    """Return a function that writes a file and calls the command line with it."""

    def run(text, *arguments, command="translate"):
        file = tmp_path / "rows.py"
        file.write_text(text, encoding="utf-8")
        return CliRunner().invoke(main, [command, *arguments, str(file)])

    return run


def test_a_list_is_written_as_a_class_and_back(call):
    written = call(DEFINITIONS["sequential"].source)
    assert written.exit_code == 0
    assert written.stdout.endswith(as_module(understand(read(DEFINITIONS["sequential"].source))))
    back = call(written.stdout)
    assert back.stdout.startswith("import torch\n")
    assert "nn.Linear(16 * 5 * 5, 64),  # -> (64,)" in back.stdout
    assert call(written.stdout, "--to", "module").stdout == written.stdout


def test_what_no_list_can_say_is_refused_with_its_line(call):
    refused = call(DEFINITIONS["residual"].source)
    assert refused.exit_code == 2
    assert refused.stdout == ""
    assert (
        refused.stderr
        == "Line 13 uses what line 12 gives twice: a list hands on one thing, from each layer to the next.\n"
    )


@pytest.mark.slow
def test_a_network_and_its_other_form_are_proved_to_be_one(call, decoded_mnist):
    told = call(DEFINITIONS["module"].source, "--steps", "2", command="equivalence")
    assert told.exit_code == 0
    carried, trained, _ = told.stdout.splitlines()
    assert carried.startswith("With the weights of nn.Module carried into nn.Sequential, the largest difference")
    assert "nn.Module and nn.Sequential have the same loss at each of 2 steps, to the last bit." in trained


@pytest.mark.slow
def test_two_files_are_named_where_their_forms_are_the_same(call, decoded_mnist, tmp_path):
    other = tmp_path / "other.py"
    other.write_text(DEFINITIONS["module"].source.replace("conv1", "first"), encoding="utf-8")
    told = call(DEFINITIONS["module"].source, "--steps", "1", str(other), command="equivalence")
    assert f"With the weights of {other} carried into {tmp_path / 'rows.py'}, the largest" in told.stdout


@pytest.mark.parametrize(
    ("source", "reason"), [("import os", "Line 1"), (DEFINITIONS["residual"].source, "a list hands on one thing")]
)
def test_what_cannot_be_proved_is_refused_in_a_sentence(call, source, reason):
    refused = call(source, command="equivalence")
    assert refused.exit_code == 2
    assert reason in refused.stderr


def test_the_table_has_a_line_for_each_step_and_the_mistakes_behind_it(call):
    checked = call("nn.Sequential(\n    nn.Flatten(),\n    nn.Linear(784, 12),\n)", "--check")
    assert checked.exit_code == 2
    assert [line.split() for line in checked.stdout.splitlines()] == [
        ["line", "layer", "shape", "parameters", "multiply-adds"],
        ["2", "0:", "Flatten", "784", "0", "0"],
        ["3", "1:", "Linear", "12", "9,420", "9,408"],
        ["total", "9,420", "9,408"],
    ]
    assert checked.stderr == "Line 3: The network gives 12 numbers; there must be ten, one for each digit.\n"


@pytest.mark.parametrize("text", ["import os", "nn.Sequential(", "#" * 90_000])
def test_what_is_no_network_is_refused_in_a_sentence(call, text):
    refused = call(text)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.count("\n") == 1


def test_a_network_in_a_file_is_trained_and_kept_under_the_files_name(call, decoded_mnist):
    trained = call("nn.Sequential(nn.Flatten(), nn.Linear(784, 10))", "--epochs", "1", "--model", command="train")
    assert trained.exit_code == 0, trained.output
    (run,) = all_runs()
    assert (run.model, run.source) == ("rows", network_named("rows").source)
