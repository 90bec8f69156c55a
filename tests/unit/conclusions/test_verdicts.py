import numpy as np
import pytest

from cnnlab.conclusions.verdicts import Conclusion, conclusion, differing_in_words, what_differs
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


def test_of_two_differences_it_cannot_be_told_which_one_it_was():
    found = told([ended(learning_rate=0.003, batch_size=64), ended()], [wrong_on(*range(40)), DIGITS])
    assert found.sentence.endswith("; which of the differences it comes from cannot be told.")


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


def test_a_difference_of_one_setting_is_credited_without_reserve():
    found = told([ended(), ended(learning_rate=0.003)], [DIGITS, wrong_on(*range(20))])
    assert found.sentence == (
        "Only the learning rate differs: A is right on 20 of MNIST's test images that B misses, B on 0 that A misses: "
        "of these two trained networks A is the better one, by more than chance, p < 0.001."
    )
    assert found.advice.startswith("One training of each says nothing of the learning rate: ")


def seeds_around(mean, count=3, **recipe):
    """Return runs of some seeds of which the first three reach a mean with a spread of 0.2 percentage points."""
    offsets = (-0.002, 0, 0.002, 0)[:count]
    return [ended(seed=seed, accuracy=mean + offset, **recipe) for seed, offset in enumerate(offsets)]


@pytest.mark.parametrize(
    ("better", "count", "advice"),
    [
        (0.985, 3, "To be sure to find such a difference takes about 4 seeds of each."),
        (0.985, 4, "To be sure to find such a difference takes about 4 seeds of each."),
        (0.9856, 3, ""),
        (0.982, 3, ""),
    ],
)
def test_a_difference_that_was_found_by_luck_comes_with_how_many_seeds_would_find_it_surely(better, count, advice):
    """With three seeds (1.96 + 0.84)² · 2 · 0.2² / 0.5² + 0.96 = 3.5 are needed, or with 0.56 for 0.5 just three.

    With a spread of √(2/3) · 0.2 for the fourth 3.05. A difference that was not found has it in its sentence.
    """
    runs = [*seeds_around(0.98), *seeds_around(better, count, learning_rate=0.003)]
    found = told(runs, [wrong_on(number) for number in range(len(runs))], "AAA" + "B" * count)
    assert ("more than chance would explain" in found.sentence) is (better > 0.982)
    assert found.advice == advice


def test_which_of_several_differences_matters_is_said_of_two_recipes_alone_and_only_if_one_is_better():
    def sentence(*groups):
        runs = [run for group in groups for run in group]
        called = "".join(name * len(group) for name, group in zip("ABC", groups, strict=False))
        return told(runs, [wrong_on(number) for number in range(len(runs))], called).sentence

    first, better = seeds_around(0.95), seeds_around(0.98, learning_rate=0.003, batch_size=64)
    alike, third = seeds_around(0.951, learning_rate=0.01, batch_size=64), seeds_around(0.93, batch_size=256)
    reserve = "; which of the differences it comes from cannot be told."
    assert sentence(first, better).endswith(reserve)
    assert not sentence(first, alike).endswith(reserve)
    assert sentence(first, better, third).endswith("more than chance would explain, p < 0.001.")
    assert sentence(first, seeds_around(0.98, learning_rate=0.003)).endswith("p < 0.001.")


def test_recipes_that_answer_alike_seed_by_seed_are_not_told_apart_and_no_others_are():
    runs = [ended(seed=seed, learning_rate=rate) for rate in (0.001, 0.003) for seed in (0, 1)]
    alike = [wrong_on(1), wrong_on(2)] * 2
    assert told(runs, alike, "AABB").sentence == (
        "Only the learning rate differs: with each of 2 seeds, A and B give the same answer to every test image: no "
        "seed tells them apart."
    )
    assert "same answer" not in told(runs, [*alike[:3], wrong_on(3)], "AABB").sentence
    others = [*runs[:2], ended(seed=1, learning_rate=0.003), ended(seed=2, learning_rate=0.003)]
    assert "same answer" not in told(others, [DIGITS] * 4, "AABB").sentence


def test_one_recipe_with_a_single_seed_leaves_it_open():
    runs = [*seeds_around(0.98), ended(learning_rate=0.003, accuracy=0.97)]
    assert told(runs, [DIGITS] * 4, "AAAB") == Conclusion(
        "2 recipes are compared (learning rate, seed): A has the best test accuracy, 98.00 % (95 % interval 97.50 to "
        "98.50 %, 3 seeds), and B the next best, 97.00 % (one seed); whether that is more than chance cannot be told "
        "while 1 of them has a single seed.",
        "More seeds of each tell them apart. Below, each two trained networks are compared on the same images.",
    )


def test_seeds_that_did_not_finish_are_no_seeds_to_compare():
    runs = [ended(seed=seed, ending=ending) for seed, ending in ((0, "stopped"), (1, "stopped"), (2, "failed"))]
    assert told(runs, names="AAA").sentence == "Only the seed differs: 3 trainings of A, the same answers."


def test_repeats_that_differ_are_counted():
    runs = [ended() for _ in range(3)]
    answers = [wrong_on(1), wrong_on(2), wrong_on(1)]
    assert told(runs, answers, "AAA").sentence == "Nothing differs: 3 trainings of A, 2 different sets of answers."


def test_a_network_that_was_written_otherwise_differs_in_its_source(monkeypatch):
    runs = [ended("module"), ended("module"), ended("sequential")]
    assert what_differs(runs[:2]) == []
    assert what_differs(runs[1:]) == ["definition"]
    monkeypatch.setattr(runs[0], "source", "another one")
    assert what_differs(runs[:2]) == ["source"]
    assert what_differs(runs) == ["definition", "source"]
