import numpy as np
import pytest

from cnnlab.conclusions.verdicts import conclusion, differing_in_words, what_differs
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run
from cnnlab.runs.writer import RunWriter
from cnnlab.training.events import EpochEvent
from cnnlab.training.recipe import TrainingConfig

DIGITS = np.zeros(1_000, dtype=int)


def ended(model="sequential", accuracy=0.97, ending="finished", kernels="torch", **recipe):
    run = create_run(DEFINITIONS[model], TrainingConfig(**{"epochs": 1, "threads": 1, **recipe}))
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu", kernels=kernels)
        writer.append_training(EpochEvent(1, run.steps_per_epoch, 0.2, 0.2, accuracy, 3.0, 20_000.0))
        writer.append(ending)
    return run


def told(runs, answers=None, names="ABCDEFGHIJ"):
    """Return the conclusion; runs are called A, B, …, and answer all rightly where no answers are given."""
    answers = answers or [DIGITS] * len(runs)
    called = {run.id: name for run, name in zip(runs, names, strict=False)}
    return conclusion(runs, {run.id: each for run, each in zip(runs, answers, strict=True)}, DIGITS, called)


def wrong_on(*places):
    answers = DIGITS.copy()
    answers[list(places)] = 1
    return answers


def test_one_network_written_in_two_ways_is_said_to_be_one():
    found = told([ended("sequential"), ended("module")])
    assert found.sentence == (
        "Only the definition differs: A and B give the same answer to every test image: they are one network."
    )
    assert found.advice == ""


def test_if_more_than_the_definition_differs_the_same_sentence_says_so_and_credits_it_with_nothing():
    runs = [ended("sequential", learning_rate=0.003, epochs=3), ended("module", epochs=10)]
    found = told(runs, [wrong_on(*range(40)), wrong_on(900)])
    assert found.sentence == (
        "Not only the definition differs, the recipes differ too (epochs, learning rate): A is right on 1 of "
        "MNIST's test images that B misses, B on 40 that A misses: of these two trained networks B is the better one, "
        "by more than chance, p < 0.001; which of the differences it comes from cannot be told."
    )
    assert found.advice == (
        "One training of each says nothing of one recipe or the other: the seed moves a result as well. More seeds "
        "tell them apart."
    )


def test_a_difference_that_chance_explains_is_none():
    found = told([ended(), ended(learning_rate=0.003)], [wrong_on(1, 2, 3), wrong_on(7)])
    assert found.sentence == (
        "Only the learning rate differs: A is right on 1 of MNIST's test images that B misses, B on 3 that A misses: "
        "no more than chance would explain, p = 0.62."
    )
    assert "says nothing of the learning rate" in found.advice


def test_two_seeds_tell_how_far_chance_goes():
    found = told([ended(), ended(seed=1)], [wrong_on(*range(20)), DIGITS])
    assert found.sentence.startswith("Only the seed differs: ")
    assert found.advice == "Chance alone moves a result so far: hold other differences against that."


def test_other_threads_and_another_backend_move_the_last_digits():
    runs = [ended(threads=1), ended(threads=2)]
    assert told(runs, [wrong_on(1), DIGITS]).advice.startswith("Sums in another order")
    assert what_differs([ended(kernels="torch"), ended(kernels="fused")]) == ["backend used"]


def test_over_several_seeds_of_one_recipe_chance_alone_is_told():
    """The mean of 97, 98 and 99 % is 98 %, their spread 1: 4.303 / √3 = 2.484 on either side."""
    runs = [ended(seed=seed, accuracy=0.97 + seed / 100) for seed in range(3)]
    assert told(runs, names="AAA").sentence == (
        "Only the seed differs: A reads 98.00 % (95 % interval 95.52 to 100.00 %, 3 seeds) of MNIST's test images "
        "rightly on average, from 97.00 % to 99.00 %. So far chance alone moves a result."
    )


def test_over_several_seeds_the_verdict_is_over_seeds_and_says_how_many_it_would_take():
    """Means 98.0 and 98.2 %, each with a spread of 0.2: t = 0.2 / (0.2 √(2/3)) = 1.22, four degrees, p = 0.288.

    It would take (1.96 + 0.84)² · 2 + 0.96 = 16.7 seeds.
    """
    runs = [ended("sequential", seed=seed, accuracy=0.978 + seed / 500) for seed in range(3)]
    runs += [ended("module", seed=seed, accuracy=0.980 + seed / 500) for seed in range(3)]
    found = told(runs, [wrong_on(number) for number in range(6)], "AAABBB")
    assert found.sentence == (
        "Only the definition differs: B has the best mean on MNIST, 98.20 % (95 % interval 97.70 to 98.70 %, 3 "
        "seeds), and A the next best, 98.00 % (95 % interval 97.50 to 98.50 %, 3 seeds): a difference of 0.20 "
        "percentage points, which chance alone would explain, p = 0.29; were it real, it would take about 17 seeds "
        "of each to tell."
    )


def test_a_difference_over_seeds_is_not_credited_to_the_definition_where_the_recipes_differ():
    runs = [ended("sequential", seed=seed, accuracy=0.95 + seed / 5_000) for seed in range(3)]
    runs += [ended("module", seed=seed, accuracy=0.98 + seed / 5_000, learning_rate=0.003) for seed in range(3)]
    sentence = told(runs, [wrong_on(number) for number in range(6)], "AAABBB").sentence
    assert sentence.startswith("Not only the definition differs, the recipes differ too (learning rate): ")
    assert "3.00 percentage points, more than chance would explain, p < 0.001" in sentence
    assert sentence.endswith("; which of the differences it comes from cannot be told.")


def test_definitions_that_answer_alike_seed_by_seed_are_one_network():
    runs = [ended(model, seed=seed) for model in ("sequential", "module") for seed in (0, 1)]
    answers = [wrong_on(1), wrong_on(2), wrong_on(1), wrong_on(2)]
    assert told(runs, answers, "AABB").sentence == (
        "Only the definition differs: with each of 2 seeds, A and B give the same answer to every test image: they are "
        "one network."
    )


def test_runs_that_did_not_finish_count_for_nothing_over_seeds():
    runs = [ended(seed=seed, accuracy=0.97 + seed / 100) for seed in range(3)]
    runs += [ended(seed=3, accuracy=0.1, ending="stopped")]
    assert "3 seeds" in told(runs, names="AAAA").sentence


def test_of_several_recipes_the_best_is_held_against_the_next_best():
    runs = [
        ended(learning_rate=rate, seed=seed, accuracy=mean + seed / 5_000)
        for rate, mean in ((0.0003, 0.93), (0.001, 0.97), (0.003, 0.98))
        for seed in range(3)
    ]
    sentence = told(runs, [wrong_on(number) for number in range(9)], "AAABBBCCC").sentence
    assert sentence.startswith("3 recipes are compared (learning rate): C has the best mean on MNIST, 98.02 %")
    assert "and B the next best, 97.02 %" in sentence


def test_single_seeds_of_several_recipes_are_not_said_to_differ():
    runs = [
        ended(learning_rate=rate, accuracy=accuracy) for rate, accuracy in ((0.001, 0.97), (0.003, 0.98), (0.01, 0.5))
    ]
    found = told(runs, [wrong_on(number) for number in range(3)])
    assert "B has the best test accuracy, 98.00 % (one seed), and A the next best" in found.sentence
    assert "cannot be told while 3 of them have a single seed" in found.sentence


def test_repeats_of_one_run_are_said_to_be_alike():
    runs = [ended() for _ in range(3)]
    assert told(runs, names="AAA").sentence == "Nothing differs: 3 trainings of A, the same answers."


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["seed"], "Only the seed differs"),
        (["epochs", "seed"], "The recipes differ (epochs, seed)"),
        (["definition", "seed"], "Not only the definition differs, the recipes differ too (seed)"),
    ],
)
def test_what_differs_begins_the_sentence(names, words):
    assert differing_in_words(names) == words
