"""The conclusion of a comparison: first what differs between the runs, then whether that is more than chance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cnnlab.comparison.experiments import DEFINITION, USED_BACKEND, by_experiment, by_seed, differing_settings, name_of
from cnnlab.comparison.labels import MACHINE
from cnnlab.comparison.seeds import OverSeeds, best_first, difference, seeds_needed
from cnnlab.comparison.statistics import Verdict, compare_answers, written_p
from cnnlab.runs.log import Status
from cnnlab.runs.run import Run
from cnnlab.wording import percent

# Two trainings that differ in these alone are the same but for rounding.
_LAST_DIGITS = {*MACHINE, USED_BACKEND}


@dataclass(frozen=True)
class Conclusion:
    """What a comparison comes to.

    Attributes
    ----------
    sentence
        What differs and what came of it.
    advice
        What it would take to know more; may be empty.
    """

    sentence: str
    advice: str = ""


def what_differs(runs: Sequence[Run]) -> list[str]:
    """Return the names of all that is not the same in all runs: "definition", "learning rate", "seed".

    Networks of one name that were written otherwise when their runs were made differ in their "source".
    """
    names = [name_of(setting).lower() for setting in differing_settings(runs).index]
    if any(len({run.source for run in runs if run.model == model}) > 1 for model in {run.model for run in runs}):
        names.append("source")
    return names


def differing_in_words(names: Sequence[str]) -> str:
    """Return what differs as the beginning of a sentence."""
    others = [name for name in names if name != DEFINITION]
    if not names:
        return "Nothing differs"
    if len(names) == 1:
        return f"Only the {names[0]} differs"
    if len(others) < len(names):
        return f"Not only the definition differs, the recipes differ too ({', '.join(others)})"
    return f"The recipes differ ({', '.join(others)})"


def conclusion(
    runs: Sequence[Run], answers: Mapping[str, np.ndarray], digits: np.ndarray, names: Mapping[str, str]
) -> Conclusion:
    """Return what comparing some runs comes to.

    Parameters
    ----------
    runs
        At least two that have ended and have answers.
    answers
        By a run's identifier its answers to the test images, shape (N,).
    digits
        What the test images show, shape (N,).
    names
        By a run's identifier what the sentence calls its experiment: the same for all runs of one.
    """
    if len(runs) == 2:
        first, second = runs
        verdict = compare_answers(digits, answers[first.id], answers[second.id])
        return _of_two(first, second, verdict, (names[first.id], names[second.id]))
    groups, several = groups_of(runs)
    if len(groups) == 1 and several[0]:
        return _over_one(groups[0], names)
    if len(groups) > 1 and all(several):
        return _over_seeds(groups, answers, names)
    if len(groups) == 1:
        return _of_repeats(runs, answers, names)
    return _of_many(groups, several, names)


def groups_of(runs: Sequence[Run]) -> tuple[list[list[Run]], list[bool]]:
    """Return the runs of each experiment, and whether these are finished ones with several seeds."""
    groups = [list(by_seed(experiment, group).values()) or group for experiment, group in by_experiment(runs).items()]
    return groups, [len(group) > 1 and all(run.status is Status.FINISHED for run in group) for group in groups]


def _of_two(first: Run, second: Run, verdict: Verdict, names: tuple[str, str]) -> Conclusion:
    differing = what_differs([first, second])
    begin = differing_in_words(differing)
    one, other = names
    if not verdict.differing:
        same = f"{begin}: {one} and {other} give the same answer to every test image"
        return Conclusion(f"{same}: they are one network." if differing == [DEFINITION] else f"{same}.")
    counts = (
        f"{begin}: {one} is right on {verdict.only_first:,} of MNIST's test images that {other} misses, {other} on "
        f"{verdict.only_second:,} that {one} misses"
    )
    p_value = written_p(verdict.p_value)
    if not verdict.is_more_than_chance:
        return Conclusion(f"{counts}: no more than chance would explain, {p_value}.", _advice(differing))
    better = one if verdict.is_for_first else other
    told = f"{counts}: of these two trained networks {better} is the better one, by more than chance, {p_value}"
    if len(differing) > 1:
        told += "; which of the differences it comes from cannot be told"
    return Conclusion(f"{told}.", _advice(differing))


def _of_repeats(runs: Sequence[Run], answers: Mapping[str, np.ndarray], names: Mapping[str, str]) -> Conclusion:
    different = len({answers[run.id].tobytes() for run in runs})
    came_to = "the same answers" if different == 1 else f"{different} different sets of answers"
    return Conclusion(
        f"{differing_in_words(what_differs(runs))}: {len(runs)} trainings of {names[runs[0].id]}, {came_to}."
    )


def _advice(differing: Sequence[str]) -> str:
    if differing == ["seed"]:
        return "Chance alone moves a result so far: hold other differences against that."
    if set(differing) <= _LAST_DIGITS:
        return "Sums in another order move the last digits of each loss, and in the end some answers."
    alone = f"the {differing[0]}" if len(differing) == 1 else "one recipe or the other"
    return f"One training of each says nothing of {alone}: the seed moves a result as well. More seeds tell them apart."


def _over_one(group: Sequence[Run], names: Mapping[str, str]) -> Conclusion:
    seeds = _accuracies(group)
    lowest, highest = min(seeds.accuracies), max(seeds.accuracies)
    return Conclusion(
        f"Only the seed differs: {names[group[0].id]} reads {seeds.in_words()} of MNIST's test images rightly on "
        f"average, from {percent(lowest)} to {percent(highest)}. So far chance alone moves a result."
    )


def _over_seeds(
    groups: Sequence[Sequence[Run]], answers: Mapping[str, np.ndarray], names: Mapping[str, str]
) -> Conclusion:
    """Return the verdict over the seeds of several experiments: the best mean against the next best."""
    differing = [name for name in what_differs([run for group in groups for run in group]) if name != "seed"]
    samples = [_accuracies(group) for group in groups]
    best, second, *others = best_first(samples)
    called = [names[group[0].id] for group in groups]
    begin = differing_in_words(differing)
    if others:
        begin = f"{len(groups)} recipes are compared ({', '.join(differing)})"
    elif alike := seeds_with_one_answer(groups, answers):
        ends = "they are one network." if differing == [DEFINITION] else "no seed tells them apart."
        return Conclusion(
            f"{begin}: with each of {alike} seeds, {called[0]} and {called[1]} give the same answer to every test "
            f"image: {ends}"
        )
    found = difference(samples[best], samples[second])
    told = (
        f"{begin}: {called[best]} has the best mean on MNIST, {samples[best].in_words()}, and {called[second]} the "
        f"next best, {samples[second].in_words()}: a difference of {found.in_words()}"
    )
    if found.is_more_than_chance and len(differing) > 1 and not others:
        told += "; which of the differences it comes from cannot be told"
    fewest = min(sample.count for sample in samples)
    needed = seeds_needed(samples[best], samples[second])
    if found.is_more_than_chance and needed is not None and needed > fewest:
        return Conclusion(f"{told}.", f"To be sure to find such a difference takes about {needed:,} seeds of each.")
    return Conclusion(f"{told}.")


def _of_many(groups: Sequence[Sequence[Run]], several: Sequence[bool], names: Mapping[str, str]) -> Conclusion:
    """Return what can be said of more runs than two, not all of them trained with several seeds."""
    differing = what_differs([run for group in groups for run in group])
    samples = [_accuracies(group) for group in groups]
    best, second, *_ = best_first(samples)
    lacking = sum(not each for each in several)
    return Conclusion(
        f"{len(groups)} recipes are compared ({', '.join(differing)}): {names[groups[best][0].id]} has the best test "
        f"accuracy, {samples[best].in_words()}, and {names[groups[second][0].id]} the next best, "
        f"{samples[second].in_words()}; whether that is more than chance cannot be told while {lacking} of them "
        f"{'has' if lacking == 1 else 'have'} a single seed.",
        "More seeds of each tell them apart. Below, each two trained networks are compared on the same images.",
    )


def _accuracies(group: Sequence[Run]) -> OverSeeds:
    return OverSeeds(tuple(epoch.test_accuracy for run in group if (epoch := run.last_epoch())) or (0.0,))


def seeds_with_one_answer(groups: Sequence[Sequence[Run]], answers: Mapping[str, np.ndarray]) -> int:
    """Return with how many seeds two experiments answer each image alike; 0 if with some they do not."""
    first, second = ({run.config.seed: answers[run.id] for run in group} for group in groups)
    if first.keys() != second.keys() or any(not np.array_equal(first[seed], second[seed]) for seed in first):
        return 0
    return len(first)
