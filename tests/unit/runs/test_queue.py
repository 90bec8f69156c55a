"""Whose turn it is, where people have said who they are."""

from datetime import datetime

import pytest

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs import writer
from cnnlab.runs.queue import enqueue, note_turn, waiting_runs
from cnnlab.runs.shelf import (
    create_run,
    delete_run,
)
from cnnlab.runs.writer import RunWriter
from cnnlab.training.events import BatchEvent
from cnnlab.training.recipe import TrainingConfig


@pytest.fixture
def wait():
    """Return a function that makes a run for each letter, by who has that name, and has them wait in that order."""
    made = {}

    def make(makers):
        for maker in makers:
            run = create_run(DEFINITIONS["module"], TrainingConfig(), made_by=maker if maker != "-" else None)
            number = sum(name.startswith(maker) for name in made.values())
            made[run.id] = f"{maker}{number + 1}"
            enqueue(run)

    def queue():
        return " ".join(made[run.id] for run in waiting_runs())

    make.queue = queue
    return make


def let_train(*, to_its_end):
    """Let the run whose turn it is train."""
    run = waiting_runs()[0]
    note_turn(run)
    with RunWriter.claim(run) as writer:
        writer.starting()
        writer.started(step=0, device="cpu")
        writer.append_training(BatchEvent(1, 1, 2.3, 0.1))
        if to_its_end:
            writer.finished()
    return run


def test_each_one_has_a_turn_before_anyone_has_a_second(wait):
    wait("AAABBC")
    assert wait.queue() == "A1 B1 C1 A2 B2 A3"


def test_who_has_had_no_turn_is_next(wait):
    wait("AAB")
    let_train(to_its_end=True)
    wait("C")
    assert wait.queue() == "B1 C1 A2"


def test_who_trains_now_comes_behind_who_has_trained_before(wait):
    wait("ABAB")
    let_train(to_its_end=True)
    let_train(to_its_end=False)
    assert wait.queue() == "A2 B2"
    wait("AC")
    assert wait.queue() == "C1 A2 B2 A3"


def test_who_has_waited_longest_since_the_last_turn_is_next(wait):
    wait("BA")
    let_train(to_its_end=True)
    let_train(to_its_end=True)
    wait("AB")
    assert wait.queue() == "B2 A2"


def test_where_nobody_has_a_name_the_queue_is_first_come_first_served(wait):
    wait("----")
    let_train(to_its_end=True)
    assert wait.queue() == "-2 -3 -4"


def test_those_without_a_name_are_as_one(wait):
    wait("--A-")
    assert wait.queue() == "-1 A1 -2 -3"


@pytest.mark.slow
def test_thirty_who_wait_each_get_a_turn_before_one_of_a_hundred_runs_a_second():
    for number in range(100):
        enqueue(create_run(DEFINITIONS["module"], TrainingConfig(seed=number), made_by="Ada"))
    for number in range(29):
        enqueue(create_run(DEFINITIONS["module"], TrainingConfig(), made_by=f"Learner {number}"))
    first = [run.made_by for run in waiting_runs()[:31]]
    assert len(set(first[:30])) == 30
    assert first[30] == "Ada"


def test_who_stops_and_resumes_has_had_his_turn(wait):
    wait("A")
    run = let_train(to_its_end=False)
    with RunWriter.claim(run) as writer:
        writer.stopped()
    wait("B")
    enqueue(run)
    assert wait.queue() == "B1 A1"


def test_who_deletes_his_runs_has_had_his_turn(wait):
    wait("AB")
    delete_run(let_train(to_its_end=True))
    wait("C")
    wait("A")
    assert wait.queue() == "B1 C1 A2"


def test_who_takes_a_waiting_run_out_has_had_no_turn(wait):
    wait("BA")
    let_train(to_its_end=True)
    (run,) = waiting_runs()
    with RunWriter.claim(run) as writer:
        writer.stopped()
    wait("BA")
    assert wait.queue() == "A2 B2"


@pytest.mark.parametrize("content", ["", "[]", '{"": "x"}', '{"": Infinity}', "[" * 10_000])
def test_turns_that_cannot_be_read_begin_anew(content, wait, lab_home):
    (lab_home / "turns.json").write_text(content)
    wait("AB")
    let_train(to_its_end=True)
    wait("A")
    assert wait.queue() == "B1 A2"


def test_turns_do_not_tell_names(wait, lab_home):
    wait("A")
    let_train(to_its_end=True)
    assert '"A"' not in (lab_home / "turns.json").read_text()


def test_the_queue_is_first_come_first_served():
    first, second, third = (create_run(DEFINITIONS["module"], TrainingConfig()) for _ in range(3))
    for each in (second, third, first):
        enqueue(each)
    assert [each.id for each in waiting_runs()] == sorted(
        (each.id for each in (first, second, third)), key=[second.id, third.id, first.id].index
    )


def test_a_run_that_an_earlier_version_queued_without_a_place_comes_first():
    first, second = (create_run(DEFINITIONS["module"], TrainingConfig()) for _ in range(2))
    enqueue(first)
    with RunWriter.claim(second) as each:
        each.append("queued")
    assert [run.id for run in waiting_runs()] == [second.id, first.id]


def test_the_queue_keeps_its_order_when_the_clock_is_set_back(monkeypatch):
    first, second = (create_run(DEFINITIONS["module"], TrainingConfig()) for _ in range(2))
    enqueue(second)
    monkeypatch.setattr(writer, "datetime", ClockSetBack)
    enqueue(first)
    assert [each.id for each in waiting_runs()] == [second.id, first.id]


class ClockSetBack(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime(2001, 1, 1, tzinfo=tz)
