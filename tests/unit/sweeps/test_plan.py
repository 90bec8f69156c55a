import math

import pytest

from cnnlab.sweeps.plan import Between, InvalidSweep, Plan, Search, different_recipes
from cnnlab.sweeps.plan_file import plan_as_json, plan_from_json, plan_in


def test_combinations_come_with_the_last_field_changing_fastest():
    plan = Plan({"learning_rate": (0.1, 0.01), "epochs": 2, "seed": (0, 1, 2)})
    assert (plan.count, plan.tried) == (6, ["learning_rate", "seed"])
    made = [(config.learning_rate, config.epochs, config.seed) for _, config in plan.recipes()]
    assert made == [(0.1, 2, 0), (0.1, 2, 1), (0.1, 2, 2), (0.01, 2, 0), (0.01, 2, 1), (0.01, 2, 2)]


def test_whole_numbers_between_two_are_counted_with_both_ends():
    assert different_recipes({"epochs": Between(2, 5), "seed": (0, 1), "threads": 1}) == 8
    assert different_recipes({"learning_rate": Between(0.1, 0.2)}) == math.inf
    assert sorted(config.epochs for _, config in Plan({"epochs": Between(2, 5)}, draws=4).recipes()) == [2, 3, 4, 5]
    with pytest.raises(InvalidSweep, match="fewer than 5 different runs"):
        Plan({"epochs": Between(2, 5)}, draws=5).recipes()


def test_a_search_may_keep_as_few_images_for_validation_as_one():
    Plan({"epochs": 1, "validation": Between(1, 5_000)}, search=Search(2)).recipes()


def test_a_searchs_recipes_are_the_ends_of_what_it_tries_with_images_kept_for_validation():
    plan = Plan({"learning_rate": Between(0.001, 0.1), "epochs": (1, 2, 3)}, search=Search(7))
    assert plan.count == 7
    ends = [(config.learning_rate, config.epochs, config.validation) for _, config in plan.recipes()]
    assert ends == [(0.001, 1, 10_000), (0.1, 2, 10_000), (0.1, 3, 10_000)]


@pytest.mark.parametrize("field", ["runs", "at_once"])
def test_a_search_makes_one_run_at_least(field):
    assert Search(**{"runs": 1, field: 1}).runs == 1
    with pytest.raises(InvalidSweep, match=f"{field} of a search is 0; allowed is a whole number, 1 to"):
        Search(**{"runs": 1, field: 0})


@pytest.mark.parametrize(("seed", "allowed"), [(0, True), (2**32 - 1, True), (-1, False), (2**32, False), (1.0, False)])
def test_a_searchs_seed_has_32_bits(seed, allowed):
    if allowed:
        assert Search(1, seed=seed).seed == seed
    else:
        with pytest.raises(InvalidSweep, match="seed of a search"):
            Search(1, seed=seed)


@pytest.mark.parametrize("between", [Between(2, 2), Between(3, 2), Between(0, 1, True), Between(1, 1e300)])
def test_numbers_that_nothing_lies_between_are_refused(between):
    with pytest.raises(InvalidSweep):
        Plan({"learning_rate": between}, draws=1)


def test_a_plan_is_the_same_after_it_was_kept():
    for plan in (
        Plan({"learning_rate": Between(0.001, 0.1, is_logarithmic=True), "epochs": (1, 2), "threads": 1}, 3, 7),
        Plan({"learning_rate": Between(0.001, 0.1)}, search=Search(5, 3, "random", 9)),
    ):
        assert plan_from_json(plan_as_json(plan)) == plan


def test_a_search_may_say_all_that_it_can():
    told = "learning_rate = {low = 0.1, high = 0.2}\n[search]\nruns = 7\nat_once = 2\nsampler = 'random'\nseed = 3"
    assert plan_in(told.encode())[1].search == Search(7, at_once=2, sampler="random", seed=3)


def test_a_plan_in_toml_is_read_as_it_is_written():
    content = b'name = "rates"\nepochs = [1, 2]\nlearning_rate = {low = 0.01, high = 0.1, log = true}\n'
    settings = {"epochs": (1, 2), "learning_rate": Between(0.01, 0.1, is_logarithmic=True)}
    assert plan_in(content + b"[draws]\ncount = 4\nseed = 3\n") == ("rates", Plan(settings, 4, 3))
    assert plan_in(content + b"[search]\nruns = 4\n") == ("rates", Plan(settings, search=Search(4)))
    with pytest.raises(InvalidSweep, match="must have a count"):
        plan_in(content + b"[draws]\nseed = 3\n")
