import numpy as np
import pytest

from cnnlab.conclusions.people import People, on_people
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run
from cnnlab.runs.writer import RunWriter
from cnnlab.training.events import EpochEvent
from cnnlab.training.recipe import TrainingConfig

MNIST, DRAWN = np.zeros(1_000, dtype=int), np.zeros(500, dtype=int)


def ended(ending="finished", **recipe):
    run = create_run(DEFINITIONS["module"], TrainingConfig(**{"epochs": 1, "threads": 1, **recipe}))
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        writer.append_training(EpochEvent(1, run.steps_per_epoch, 0.2, 0.2, 0.97, 3.0, 20_000.0))
        writer.append(ending)
    return run


def wrong(digits, *places):
    answers = digits.copy()
    answers[list(places)] = 1
    return answers


def told(runs, drawn, mnist=None, names="ABCDEFGHIJ", lacking=None):
    """Return what is said of runs that are called A, B, …, and answer all of MNIST rightly where it is not given."""
    called = {run.id: name for run, name in zip(runs, names, strict=False)}
    on_mnist = {run.id: each for run, each in zip(runs, mnist or [MNIST] * len(runs), strict=True)}
    answers = {run.id: each for run, each in zip(runs, drawn, strict=True) if each is not None}
    return on_people(runs, People(answers, DRAWN, lacking or {}), called, on_mnist, MNIST)


@pytest.fixture
def two():
    return [ended(), ended(seed=1)]


def test_two_networks_are_told_apart_by_drawings_where_mnist_does_not(two):
    """1 - 14 / 500 = 97.2 %, 1 - 41 / 500 = 91.8 %. Of 55 tosses 41 heads or more, or 14 or fewer: p = 0.00036."""
    drawn = [wrong(DRAWN, *range(14)), wrong(DRAWN, *range(14, 55))]
    assert told(two, drawn, [wrong(MNIST, 1, 2), wrong(MNIST, 3)]) == (
        "On digits drawn by people A is right on 97.20 % (95 % interval 95.36 to 98.32 %), B on 91.80 % (95 % interval "
        "89.06 to 93.90 %). Of the 55 that only one of them reads rightly, A reads 41: more than chance would explain, "
        "p < 0.001. MNIST's test images alone would not have shown it."
    )


def test_what_only_mnist_shows_is_said_not_to_show_on_drawings(two):
    drawn = [wrong(DRAWN, 1), wrong(DRAWN, 2, 3)]
    found = told(two, drawn, [MNIST, wrong(MNIST, *range(20))])
    assert "B reads 1" not in found
    assert found.endswith(
        "Of the 3 that only one of them reads rightly, A reads 2: no more than chance would explain, p = 1. What "
        "MNIST's test images show does not show here."
    )


def test_test_sets_that_speak_for_different_networks_are_said_to(two):
    found = told(two, [wrong(DRAWN, *range(20)), DRAWN], [MNIST, wrong(MNIST, *range(20))])
    assert "B reads 20: more than chance would explain" in found
    assert found.endswith("On MNIST's test images it is the other way round.")


def test_test_sets_that_agree_need_no_word_of_it(two):
    found = told(two, [wrong(DRAWN, *range(20)), DRAWN], [wrong(MNIST, *range(20)), MNIST])
    assert found.endswith("p < 0.001.")


def test_networks_that_answer_alike_are_said_to(two):
    same = wrong(DRAWN, 3)
    assert told(two, [same, same]) == "On digits drawn by people A and B give the same answer to every drawing."


def test_a_run_without_answers_is_named_with_the_reason(two):
    lacking = {two[1].id: "There are no pen digits."}
    assert told(two, [DRAWN, None], lacking=lacking) == (
        "On digits drawn by people nothing is compared: B has no answers to them. There are no pen digits."
    )


def test_over_seeds_the_means_are_compared():
    """Means 98.0 and 92.0 %, each with a spread of 0.2: the difference is 36.7 of its standard errors."""
    runs = [ended(seed=seed, learning_rate=rate) for rate in (0.001, 0.003) for seed in range(3)]
    counts = [9, 10, 11, 39, 40, 41]
    found = told(runs, [wrong(DRAWN, *range(count)) for count in counts], names="AAABBB")
    assert found == (
        "On digits drawn by people A is best, 98.00 % (95 % interval 97.50 to 98.50 %, 3 seeds), and B the next best, "
        "92.00 % (95 % interval 91.50 to 92.50 %, 3 seeds): a difference of 6.00 percentage points, more than chance "
        "would explain, p < 0.001."
    )


def test_seeds_that_answer_alike_one_by_one_are_said_to():
    runs = [ended(seed=seed, learning_rate=rate) for rate in (0.001, 0.003) for seed in (0, 1)]
    drawn = [wrong(DRAWN, 1), wrong(DRAWN, 2)] * 2
    assert told(runs, drawn, names="AABB") == "On digits drawn by people they give the same answer to every drawing."


def test_seeds_of_one_recipe_have_a_mean():
    runs = [ended(seed=seed) for seed in range(3)]
    found = told(runs, [wrong(DRAWN, *range(count)) for count in (9, 10, 11)], names="AAA")
    assert found == (
        "Of the digits drawn by people A reads 98.00 % (95 % interval 97.50 to 98.50 %, 3 seeds) rightly on average."
    )


def test_of_single_seeds_the_best_is_named_and_nothing_is_tested():
    runs = [ended(learning_rate=rate) for rate in (0.001, 0.003, 0.01)]
    found = told(runs, [wrong(DRAWN, *range(count)) for count in (30, 10, 20)])
    assert found == (
        "On digits drawn by people B is best, 98.00 % (one seed), and C the next best, 96.00 % (one seed)."
    )


def test_repeats_of_one_run_have_no_verdict():
    assert told([ended() for _ in range(3)], [DRAWN] * 3, names="AAA") == ""


def test_networks_that_err_on_the_same_drawings_have_none_that_only_one_reads(two):
    """1 - 2 / 500 = 99.6 %."""
    others = wrong(DRAWN, 1, 2) * 7
    assert told(two, [wrong(DRAWN, 1, 2), others]) == (
        "On digits drawn by people A is right on 99.60 % (95 % interval 98.55 to 99.89 %), B on 99.60 % (95 % interval "
        "98.55 to 99.89 %): no more than chance would explain, p = 1."
    )


def test_each_run_without_answers_is_named_once():
    runs = [ended(seed=seed, learning_rate=rate) for rate in (0.001, 0.003) for seed in range(2)]
    lacking = {run.id: "There are no pen digits." for run in runs}
    assert told(runs, [None, None, DRAWN, None], names="AABC", lacking=lacking) == (
        "On digits drawn by people nothing is compared: A has no answers to them. There are no pen digits. C has no "
        "answers to them. There are no pen digits."
    )


def test_of_three_recipes_with_seeds_the_best_two_are_compared():
    runs = [ended(seed=seed, learning_rate=rate) for rate in (0.001, 0.003, 0.01) for seed in range(2)]
    drawn = [wrong(DRAWN, *range(count)) for count in (99, 101, 9, 11, 49, 51)]
    found = told(runs, drawn, names="AABBCC")
    assert found.startswith("On digits drawn by people B is best, 98.00 % ")
    assert "and C the next best, 90.00 % " in found
    assert "a difference of 8.00 percentage points, " in found
