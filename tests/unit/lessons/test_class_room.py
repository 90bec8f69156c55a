import pytest

from cnnlab.lessons.class_room import answers_table, leader_board, places_in, predictions_in
from cnnlab.lessons.notebook import Notebook
from cnnlab.lessons.reading import read_lesson
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.models.sources import read_definition
from cnnlab.runs.shelf import create_run
from cnnlab.runs.writer import RunWriter
from cnnlab.training.events import EpochEvent
from cnnlab.training.recipe import TrainingConfig

LESSON = read_lesson(
    "mine",
    """---
title: Mine
about: What it is.
minutes: 6
---

## Read: First
This is read.

## Predict: How many?
measured: test_accuracy
Of 100?
> {test_accuracy}

## Ask
Which?
- [ ] This
- [x] That
> Because.
""",
)
NOW = "2026-12-01T08:00:00+00:00"


def a_book(name, place, **answers):
    said = {number.removeprefix("step_"): answer for number, answer in answers.items()}
    return Notebook(name, {"mine": said}, {"mine": NOW}, {"mine": place})


BOOKS = [
    a_book("Ada", 3, step_1="97.5", step_2="That"),
    a_book("Bob", 2, step_1="5"),
    a_book("Eve", 0),
    a_book("Mallory", 99, step_1="97.5", step_2="This"),
    Notebook("Zoe"),
]


def a_run(made_by, source, accuracy, *, is_finished=True):
    run = create_run(read_definition("mine", source), TrainingConfig(epochs=1), made_by=made_by)
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        writer.append_training(EpochEvent(1, 469, 0.1, 0.1, accuracy, 1.0, 60_000.0))
        if is_finished:
            writer.finished()
    return run


def linear(inputs):
    return f"nn.Sequential(nn.Flatten(), nn.Linear(784, {inputs}), nn.Linear({inputs}, 10))"


def test_a_teacher_sees_where_each_one_is_who_has_begun():
    assert places_in(LESSON, BOOKS).to_dict("split")["data"] == [
        ["Ada", 3, "At the end", 2],
        ["Bob", 3, "Ask", 1],
        ["Eve", 1, "Read: First", 0],
        ["Mallory", 3, "At the end", 2],
    ]
    assert places_in(LESSON, []).empty


def test_numbers_that_were_predicted_are_counted_in_their_order():
    assert predictions_in(LESSON, 1, BOOKS).to_dict("split")["data"] == [["5", 1], ["97.5", 2]]


@pytest.mark.parametrize(
    ("said", "counts"),
    [
        (["1", "2", "3", "4", "5", "6", "1e308", "-1e308", "inf", "nan", "x"], [("under 1.5", 1), ("from 5.5", 1)]),
        ([str(number) for number in range(20)], [("under 1.9", 2), ("from 17", 2)]),
        (["5e-324", "1e-323", "1.5e-323", "2e-323", "2.5e-323", "3e-323"], []),
        (["0.1", "0.2", "0.3", "0.4", "0.5", "1e9"], [("under 0.15", 1), ("from 5e+08", 1)]),
        (["7", "7", "7", "7", "7", "7", "7", "7", "7", "7", "7", "7", "1", "2", "3", "4", "900000"], []),
    ],
)
def test_many_different_numbers_are_counted_in_ranges_also_where_one_is_far_out(said, counts):
    books = [a_book(f"Learner {number}", 2, step_1=answer) for number, answer in enumerate(said)]
    table = predictions_in(LESSON, 1, books)
    found = list(table.itertuples(index=False, name=None))
    assert table["count"].sum() == sum(answer.strip("-") not in ("1e308", "inf", "nan", "x") for answer in said)
    assert len(found) <= 8
    if counts:
        assert [found[0], found[-1]] == counts


def test_choices_are_counted_in_theirs_also_those_that_nobody_made():
    assert predictions_in(LESSON, 2, BOOKS).to_dict("split")["data"] == [["This", 1], ["That", 1]]
    assert predictions_in(LESSON, 2, []).to_dict("split")["data"] == [["This", 0], ["That", 0]]


def test_all_answers_stand_in_one_table():
    table = answers_table([LESSON], BOOKS)
    assert table[table["learner"].isin(["Ada", "Mallory"])].drop(columns="lesson").to_dict("split")["data"] == [
        ["Ada", 2, "Predict: How many?", "97.5", None],
        ["Ada", 3, "Ask", "That", True],
        ["Mallory", 2, "Predict: How many?", "97.5", None],
        ["Mallory", 3, "Ask", "This", False],
    ]
    assert answers_table([LESSON], []).empty


def test_the_smallest_good_network_of_each_one_stands_on_the_leader_board():
    runs = [
        a_run("Ada", linear(20), 0.985),
        a_run("Ada", linear(10), 0.98),
        a_run("Ada", linear(4), 0.9799),
        a_run("Bob", linear(5), 0.99, is_finished=False),
        a_run("Bob", linear(30), 0.99),
        a_run("Eve", linear(10), 0.982),
        a_run(None, linear(1), 0.999),
    ]
    ten, thirty = 784 * 10 + 10 + 10 * 10 + 10, 784 * 30 + 30 + 30 * 10 + 10
    assert [(leader.learner, leader.numbers, leader.test_accuracy) for leader in leader_board(runs)] == [
        ("Eve", ten, 0.982),
        ("Ada", ten, 0.98),
        ("Bob", thirty, 0.99),
    ]


@pytest.mark.parametrize("model", ["sequential", "module"])
def test_the_tutorials_network_is_counted_as_every_other(model):
    run = create_run(DEFINITIONS[model], TrainingConfig(epochs=1), made_by="Ada")
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        writer.append_training(EpochEvent(1, 469, 0.1, 0.1, 0.99, 1.0, 60_000.0))
        writer.finished()
    assert [leader.numbers for leader in leader_board([run])] == [29_322]
