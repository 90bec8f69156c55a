"""The queue: the runs that wait, in the order in which they will be trained. And what is asked of one that trains.

Whoever has gone longest without a turn is next, so that nobody's many runs are in others' way. Each one's own runs are
trained in the order in which they came, and so are all where nobody has said who he is.
"""

import json
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from cnnlab.errors import LabError
from cnnlab.runs.folder import NoSuchRun, UnreadableRun
from cnnlab.runs.log import Status
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import all_runs
from cnnlab.runs.writer import CannotGoOn, RunBusy, RunFinished, RunWriter
from cnnlab.storage.files import replacing
from cnnlab.storage.home import HomeError, home, writing_to_home
from cnnlab.storage.learners import learner_path


def waiting_runs() -> list[Run]:
    """Return the queue: the runs that wait to be trained, in turn by who made them."""
    if not (queue := sorted(_queue(), key=lambda entry: (entry[0], entry[1].id))):
        return []
    turns, before = _turns(), Counter[str]()
    in_turn = []
    for place, (_, run) in enumerate(queue):
        whose = _key_of(run)
        # Each one's second run comes behind the first of all others.
        in_turn.append((before[whose], turns.get(whose, 0), place, run))
        before[whose] += 1
    return [run for *_, run in sorted(in_turn, key=lambda entry: entry[:3])]


def note_turn(run: Run) -> None:
    """Note that a run's maker has his turn now; where that cannot be written, he may have the next one too soon."""
    turns = _turns()
    turns[_key_of(run)] = 1 + max(turns.values(), default=0)
    with suppress(HomeError), writing_to_home(), replacing(_turns_path()) as unfinished:
        unfinished.write_text(json.dumps(turns), encoding="utf-8")


def _turns() -> dict[str, int]:
    """Return when each person had a turn last: a number that grows."""
    try:
        return {str(whose): int(turn) for whose, turn in json.loads(_turns_path().read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError):
        return {}  # then all begin anew


def _turns_path() -> Path:
    return home() / "turns.json"


def _key_of(run: Run) -> str:
    return learner_path(run.made_by, "").name if run.made_by else ""


def enqueue(run: Run) -> None:
    """Put a run at the end of the queue; one that has begun will go on from its checkpoint.

    Raises
    ------
    RunBusy
        If it trains.
    RunFinished
        If nothing is left to train.
    CannotGoOn
        If its network is another one now, or its checkpoint is gone.
    UnreadableRun
        If a file of it cannot be read.
    """
    for refusal in enqueue_all([run]):
        raise refusal


def enqueue_all(runs: Iterable[Run]) -> list[LabError]:
    """Put runs at the end of the queue, in this order, and return the errors of those that cannot be queued."""
    refusals: list[LabError] = []
    # Not by the time of day, which can be set back.
    last_place = max((place for place, _ in _queue()), default=0)
    with writing_to_home():
        for place, run in enumerate(runs, start=last_place + 1):
            try:
                with RunWriter.claim(run) as writer:
                    writer.prepare_to_train()
                    if run.last_event() != Status.QUEUED:
                        writer.queued(place)
            except (RunBusy, RunFinished, CannotGoOn, UnreadableRun, NoSuchRun) as refusal:
                refusals.append(refusal)
    return refusals


def _queue() -> list[tuple[int, Run]]:
    """Return the runs that wait, each with its place."""
    last_records = [(run.last_record(), run) for run in all_runs()]
    return [
        (record.get("place", 0), run) for record, run in last_records if record and record["event"] == Status.QUEUED
    ]


class NotTraining(LabError):
    """A run does not train, or not so that its learning rate could be changed."""


def wish_learning_rate(run: Run, learning_rate: float) -> None:
    """Ask whoever trains a run to go on with another learning rate after the step at hand.

    Raises
    ------
    InvalidConfig, NotTraining
        If it is not one that a recipe may have, or what trains the run would not take it.
    """
    replace(run.config, learning_rate=learning_rate)
    if run.status is not Status.RUNNING or run.is_getting_ready:
        raise NotTraining(f"{run.name} does not train now: a learning rate can be set while it does.")
    if not run.history().takes_wishes:
        raise NotTraining(
            f"The learning rate of {run.name} stays as it is: a sweep keeps its recipes, and several processes, or "
            "another machine, are not told of a change."
        )
    with run.changing(), replacing(run.learning_rate_path) as unfinished:
        unfinished.write_text(repr(float(learning_rate)), encoding="utf-8")
