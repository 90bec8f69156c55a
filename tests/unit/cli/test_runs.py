import json

import pytest
from click.testing import CliRunner

from cnnlab.cli.main import main
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run
from cnnlab.runs.writer import RunWriter
from cnnlab.training.events import EpochEvent
from cnnlab.training.recipe import TrainingConfig


def invoke(*arguments):
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def apple_and_pear():
    """Return two finished runs, of which the older one is the better one."""
    runs = []
    for name, accuracy in (("Pear", 0.98), ("Apple", 0.97)):
        runs.append(create_run(DEFINITIONS["module"], TrainingConfig(epochs=1), name))
        with RunWriter.claim(runs[-1]) as writer:
            writer.append_training(EpochEvent(1, 469, 0.2, 0.2, accuracy, 3.0, 20_000.0))
            writer.finished()
    return runs


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ([], ["Apple", "Pear"]),
        (["--sort", "age"], ["Apple", "Pear"]),
        (["--sort", "accuracy"], ["Pear", "Apple"]),
        (["--sort", "name"], ["Apple", "Pear"]),
    ],
)
def test_runs_are_listed_in_the_order_that_is_asked_for(options, names, apple_and_pear):
    assert [line.split("\t")[3] for line in invoke("runs", *options).stdout.splitlines()] == names


def test_another_order_is_none():
    assert invoke("runs", "--sort", "luck").exit_code == 2


def test_a_star_and_a_note_are_given_listed_and_taken_away(apple_and_pear):
    pear, _ = apple_and_pear
    assert invoke("star", pear.id).exit_code == invoke("note", pear.id, "For Monday").exit_code == 0
    refused = invoke("note", pear.id, "Two\nlines")
    assert (refused.exit_code, "is one line of up to 160 characters" in refused.output) == (2, True)
    first, second = (line.split("\t") for line in invoke("runs").stdout.splitlines())
    assert first[3:] == ["* Pear", "For Monday"]
    assert second[3:] == ["Apple"]
    listed = [json.loads(line) for line in invoke("runs", "--json").stdout.splitlines()]
    assert [(each["name"], each["star"], each["note"]) for each in listed] == [
        ("Pear", True, "For Monday"),
        ("Apple", False, ""),
    ]
    assert invoke("star", pear.id, "--remove").exit_code == invoke("note", pear.id, "").exit_code == 0
    assert (pear.is_starred, pear.note) == (False, "")


@pytest.mark.parametrize("command", [["star"], ["note", "a"]])
@pytest.mark.parametrize(("run_id", "words"), [("nothing", "There is no run"), ("reference-module", "ships with")])
def test_a_run_that_is_not_there_or_ships_with_the_lab_takes_neither(command, run_id, words):
    refused = invoke(command[0], run_id, *command[1:])
    assert (refused.exit_code, words in refused.output) == (2, True)


def test_runs_are_listed_with_who_made_them_and_those_of_a_name_if_asked_for():
    for name, made_by in (("Pear", "Ada"), ("Apple", None), ("Plum", "Bob")):
        create_run(DEFINITIONS["module"], TrainingConfig(), name, made_by=made_by)
    assert {tuple(line.split("\t")[3:]) for line in invoke("runs").stdout.splitlines()} == {
        ("Pear", "by Ada"),
        ("Apple",),
        ("Plum", "by Bob"),
    }
    (record,) = map(json.loads, invoke("runs", "--learner", " ada", "--json").stdout.splitlines())
    assert (record["name"], record["made_by"]) == ("Pear", "Ada")
    assert invoke("runs", "--learner", "Eve").stdout == ""


def test_a_name_that_nobody_can_have_is_refused():
    refused = invoke("runs", "--learner", " ")
    assert refused.exit_code == 2
    assert "A name has 1 to 40 letters" in refused.stderr
