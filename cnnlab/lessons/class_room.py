"""What a teacher sees of a class: where each one is, what was predicted, whose network is the smallest."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pandas as pd

from cnnlab.errors import LabError
from cnnlab.lessons.lesson import Kind, Lesson, Step
from cnnlab.lessons.notebook import Notebook
from cnnlab.models.sources import definition_of
from cnnlab.runs.log import Status
from cnnlab.runs.run import Run

# Of the test images: from this accuracy on, a network is on the leader board.
GOOD_ACCURACY = 0.98
_MOST_NUMBERS, _RANGES = 5, 8
_LARGEST = 1e9


@dataclass(frozen=True)
class Leader:
    """The smallest good network of a learner.

    Attributes
    ----------
    learner
        His name.
    numbers
        How many the network has.
    run
        The run that trained it.
    test_accuracy
        After its last epoch, from 0 to 1.
    """

    learner: str
    numbers: int
    run: Run
    test_accuracy: float


def places_in(lesson: Lesson, books: Iterable[Notebook]) -> pd.DataFrame:
    """Return where each learner is who has begun a lesson.

    Returns
    -------
    DataFrame
        A row for each: learner, step (the one looked at, from 1), title, answered (how many of those that ask for
        something).
    """
    rows = []
    for book in books:
        if lesson.name in book.begun:
            place = min(book.places.get(lesson.name, 0), len(lesson.steps))
            at_end = place == len(lesson.steps)
            title = "At the end" if at_end else title_of(lesson.steps[place])
            answered = sum(
                each.kind is not Kind.READ and book.answer(lesson.name, number) is not None
                for number, each in enumerate(lesson.steps)
            )
            rows.append(
                {
                    "learner": book.learner,
                    "step": min(place + 1, len(lesson.steps)),
                    "title": title,
                    "answered": answered,
                }
            )
    return pd.DataFrame(rows, columns=["learner", "step", "title", "answered"])


def lesson_of_most(lessons: Sequence[Lesson], books: Iterable[Notebook]) -> Lesson:
    """Return the lesson that most learners have begun last; the first in order where none has more than another."""
    places = {lesson.name: place for place, lesson in enumerate(lessons)}
    counts = [0] * len(lessons)
    for book in books:
        begun = {name: datetime.fromisoformat(when) for name, when in book.begun.items() if name in places}
        if begun:
            counts[places[max(begun, key=begun.__getitem__)]] += 1
    return lessons[counts.index(max(counts))]


def title_of(step: Step) -> str:
    """Return what a step is called: "Predict: How sure?"."""
    return f"{step.kind}: {step.title}" if step.title else str(step.kind)


def predictions_in(lesson: Lesson, number: int, books: Iterable[Notebook]) -> pd.DataFrame:
    """Return what was predicted in a step, counted from 0, without saying by whom.

    Returns
    -------
    DataFrame
        A row for each choice, or for each number that was predicted, in order: answer, count. More than five different
        numbers are counted in up to eight ranges.
    """
    said = [answer for book in books if (answer := book.answer(lesson.name, number)) is not None]
    if choices := lesson.steps[number].choices:
        options = [choice.text for choice in choices]
        counts = [said.count(option) for option in options]
    elif len(different := sorted(set(numbers := _numbers_in(said)))) <= _MOST_NUMBERS:
        options = [f"{each:g}" for each in different]
        counts = [numbers.count(each) for each in different]
    else:
        edges = _edges(numbers)
        names = [f"{each:.2g}" for each in edges]
        options = [f"under {names[0]}", *(f"{one} to {other}" for one, other in pairwise(names)), f"from {names[-1]}"]
        counts = np.bincount(np.searchsorted(edges, numbers, side="right"), minlength=len(options)).tolist()
    return pd.DataFrame({"answer": options, "count": counts})


def _edges(numbers: list[float]) -> np.ndarray:
    """Return what parts numbers into ranges: evenly or, over a hundredfold, in equal ratios; a few may lie far out."""
    low, high = np.quantile(numbers, [0.1, 0.9])
    spaced = np.geomspace if 0 < 100 * low < high else np.linspace
    return np.unique(spaced(low, high, _RANGES - 1))


def _numbers_in(said: Iterable[str]) -> list[float]:
    numbers = []
    for answer in said:
        with suppress(ValueError):  # somebody may have written the file by hand
            numbers.append(float(answer))
    return [number for number in numbers if abs(number) <= _LARGEST]


def leader_board(runs: Iterable[Run]) -> list[Leader]:
    """Return the smallest network of each learner that reads `GOOD_ACCURACY` of the test images, the smallest first."""
    best: dict[str, Leader] = {}
    for run in runs:
        if run.made_by and not run.fine_tuning and run.status is Status.FINISHED and (epoch := run.last_epoch()):
            if epoch.test_accuracy < GOOD_ACCURACY or (numbers := _numbers_of(run)) is None:
                continue
            leader = Leader(run.made_by, numbers, run, epoch.test_accuracy)
            key = run.made_by.casefold()
            best[key] = min(leader, best.get(key, leader), key=_place)
    return sorted(best.values(), key=_place)


def _place(leader: Leader) -> tuple[int, float]:
    return leader.numbers, -leader.test_accuracy


def _numbers_of(run: Run) -> int | None:
    try:
        return count_numbers(run)
    except LabError:  # its network cannot be read here
        return None


def count_numbers(run: Run) -> int:
    """Return how many numbers a run's network has.

    Raises
    ------
    UnknownDefinition
        If it cannot be read.
    """
    return _count_numbers(run.model, run.source)


@lru_cache(maxsize=1024)
def _count_numbers(model: str, source: str) -> int:
    return sum(parameter.numel() for parameter in definition_of(model, source).build(seed=0).parameters())


def answers_table(lessons: Sequence[Lesson], books: Iterable[Notebook]) -> pd.DataFrame:
    """Return all that learners have answered.

    Returns
    -------
    DataFrame
        A row for each answer: learner, lesson, step (from 1), title, answer, is_right (None where no answer is).
    """
    rows = [
        {
            "learner": book.learner,
            "lesson": lesson.title,
            "step": number + 1,
            "title": title_of(step),
            "answer": answer,
            "is_right": _is_right(step, answer),
        }
        for book in books
        for lesson in lessons
        for number, step in enumerate(lesson.steps)
        if (answer := book.answer(lesson.name, number)) is not None
    ]
    return pd.DataFrame(rows, columns=["learner", "lesson", "step", "title", "answer", "is_right"])


def _is_right(step: Step, answer: str) -> bool | None:
    right = [choice.text for choice in step.choices if choice.is_right]
    return answer in right if right else None
