"""What a comparison comes to on the second test set: the digits that people drew with a pen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cnnlab.comparison.seeds import OverSeeds, best_first, difference
from cnnlab.comparison.statistics import Verdict, compare_answers, share_in_words, written_p
from cnnlab.conclusions.verdicts import groups_of, seeds_with_one_answer
from cnnlab.runs.run import Run

_ON_THESE = "On digits drawn by people"


@dataclass(frozen=True)
class People:
    """What runs answer to the digits that people drew.

    Attributes
    ----------
    answers
        By a run's identifier its answers, shape (M,).
    digits
        What the drawings show, shape (M,).
    lacking
        By a run's identifier why it has no answers.
    """

    answers: Mapping[str, np.ndarray]
    digits: np.ndarray
    lacking: Mapping[str, str]

    def accuracies_of(self, runs: Sequence[Run]) -> OverSeeds:
        """Return how often each of some runs is right."""
        return OverSeeds(tuple(float((self.answers[run.id] == self.digits).mean()) for run in runs))


def on_people(
    runs: Sequence[Run],
    people: People,
    names: Mapping[str, str],
    answers: Mapping[str, np.ndarray],
    digits: np.ndarray,
) -> str:
    """Return in words what comparing some runs comes to on the digits that people drew; empty if there is no verdict.

    Parameters
    ----------
    people
        Of a run that has no answers the reason is told.
    runs, names, answers, digits
        As `cnnlab.conclusions.verdicts.conclusion` takes them: the last two are of MNIST's test images.
    """
    if lacking := [run for run in runs if run.id not in people.answers]:
        told = dict.fromkeys(f"{names[run.id]} has no answers to them. {people.lacking[run.id]}" for run in lacking)
        return f"{_ON_THESE} nothing is compared: {' '.join(told)}"
    if len(runs) == 2:
        on_mnist = compare_answers(digits, *(answers[run.id] for run in runs))
        return _of_two(runs, people, [names[run.id] for run in runs], on_mnist)
    groups, several = groups_of(runs)
    if len(groups) == 1:
        return _over_one(groups[0], people, names) if several[0] else ""
    return _over_groups(groups, people, names, can_tell=all(several))


def _of_two(runs: Sequence[Run], people: People, names: Sequence[str], on_mnist: Verdict) -> str:
    first, second = (people.answers[run.id] for run in runs)
    found = compare_answers(people.digits, first, second)
    one, other = names
    if not found.differing:
        return f"{_ON_THESE} {one} and {other} give the same answer to every drawing."
    shares = [share_in_words(int((each == people.digits).sum()), len(people.digits)) for each in (first, second)]
    told = f"{_ON_THESE} {one} is right on {shares[0]}, {other} on {shares[1]}"
    better, right = max(((one, found.only_first), (other, found.only_second)), key=lambda each: each[1])
    if count := found.only_first + found.only_second:
        told += f". Of the {count:,} that only one of them reads rightly, {better} reads {right:,}"
    chance = "more than chance would explain" if found.is_more_than_chance else "no more than chance would explain"
    return f"{told}: {chance}, {written_p(found.p_value)}.{_beside(found, on_mnist)}"


def _beside(found: Verdict, on_mnist: Verdict) -> str:
    """Return what the one test set shows and the other does not."""
    if found.is_more_than_chance and not on_mnist.is_more_than_chance:
        return " MNIST's test images alone would not have shown it."
    if on_mnist.is_more_than_chance and not found.is_more_than_chance:
        return " What MNIST's test images show does not show here."
    if found.is_more_than_chance and found.is_for_first != on_mnist.is_for_first:
        return " On MNIST's test images it is the other way round."
    return ""


def _over_one(group: Sequence[Run], people: People, names: Mapping[str, str]) -> str:
    mean = people.accuracies_of(group).in_words()
    return f"Of the digits drawn by people {names[group[0].id]} reads {mean} rightly on average."


def _over_groups(groups: Sequence[Sequence[Run]], people: People, names: Mapping[str, str], *, can_tell: bool) -> str:
    if can_tell and len(groups) == 2 and seeds_with_one_answer(groups, people.answers):
        return f"{_ON_THESE} they give the same answer to every drawing."
    samples = [people.accuracies_of(group) for group in groups]
    best, second, *_ = best_first(samples)
    called = [names[group[0].id] for group in groups]
    told = (
        f"{_ON_THESE} {called[best]} is best, {samples[best].in_words()}, and {called[second]} the next best, "
        f"{samples[second].in_words()}"
    )
    if not can_tell:
        return f"{told}."
    return f"{told}: a difference of {difference(samples[best], samples[second]).in_words()}."
