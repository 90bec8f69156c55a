import math
import random

import pytest

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.sweeps.plan import Between, InvalidSweep, Plan, Search, different_recipes
from cnnlab.training.recipe import TrainingConfig


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


def test_a_single_value_is_not_tried_and_a_plan_of_nothing_is_one_run():
    plan = Plan({"model": ("module",), "epochs": (1,), "seed": (0, 1), "shift": 2, "momentum": Between(0, 0.9)}, 3)
    assert plan.tried == ["seed", "momentum"]
    assert [(definition.name, config) for definition, config in Plan({}).recipes()] == [
        (next(iter(DEFINITIONS)), TrainingConfig())
    ]
    ((definition, config),) = Plan({}, search=Search(3)).recipes()
    assert (definition.name, config) == (next(iter(DEFINITIONS)), TrainingConfig(validation=10_000))


@pytest.mark.parametrize("draws", [0, 10_001, True, 2.0, "2"])
def test_so_many_runs_cannot_be_drawn(draws):
    with pytest.raises(InvalidSweep, match="; allowed is a whole number from 1 to 10,000"):
        Plan({"learning_rate": Between(0.1, 0.2)}, draws=draws)


@pytest.mark.parametrize("count", [1, 10_000])
def test_from_one_to_ten_thousand_runs_are_allowed(count):
    seeds = tuple(range(count))
    assert Plan({"learning_rate": Between(0.1, 0.2)}, draws=count).count == count
    assert Plan({"seed": seeds}).count == count
    assert Search(count, at_once=count) == Search(count, count, "tpe", 0)
    with pytest.raises(InvalidSweep, match="These are 10,001 runs; a sweep has at most 10,000"):
        Plan({"seed": tuple(range(10_001))})


@pytest.mark.parametrize("field", ["runs", "at_once"])
@pytest.mark.parametrize("value", [10_001, True, 1.0])
def test_a_search_makes_a_whole_number_of_runs_ten_thousand_at_most(field, value):
    with pytest.raises(InvalidSweep) as told:
        Search(**{"runs": 1, field: value})
    assert str(told.value) == f"{field} of a search is {value!r}; allowed is a whole number, 1 to 10,000."


def test_a_searchs_seed_is_told_with_both_ends():
    with pytest.raises(InvalidSweep, match="seed of a search is -1; allowed is a whole number, 0 to 4,294,967,295"):
        Search(1, seed=-1)


@pytest.mark.parametrize("between", [Between(-(10**12), 10**12), Between(0, 1e-9), Between(-1, 0)])
def test_numbers_may_lie_between_any_two_up_to_a_million_millions(between):
    assert Plan({"learning_rate": between}, draws=2).settings["learning_rate"] == between


@pytest.mark.parametrize(
    ("between", "told"),
    [
        (Between(0, 10**12 + 1), "learning_rate must lie between two numbers, neither beyond 1,000,000,000,000."),
        (Between(-(10**12) - 1, 0), "learning_rate must lie between two numbers, neither beyond 1,000,000,000,000."),
        (Between(False, True), "learning_rate must lie between two numbers, neither beyond 1,000,000,000,000."),
        (Between(0, float("nan")), "learning_rate must lie between two numbers, neither beyond 1,000,000,000,000."),
        (Between(1, 1), "learning_rate lies between 1 and 1: the first must be smaller."),
        (Between(-1, 1, True), "learning_rate lies between -1 and 1: the first must be smaller, and above 0."),
    ],
)
def test_why_numbers_cannot_lie_between_two_is_told(between, told):
    for more in ({"draws": 2}, {"search": Search(2)}):
        with pytest.raises(InvalidSweep) as error:
            Plan({"learning_rate": between}, **more)
        assert str(error.value) == told


def test_what_a_search_keeps_for_validation_is_what_its_plan_says():
    for told, kept in (({}, 10_000), ({"validation": 1}, 1), ({"validation": (5_000, 20_000)}, 5_000)):
        assert Plan(told, search=Search(2)).recipes()[0][1].validation == kept
    assert Plan({"seed": 1}).recipes()[0][1].validation == 0
    assert Plan({"validation": 0}).recipes()[0][1].validation == 0


@pytest.mark.parametrize("seed", [0, 7])
def test_draws_are_pythons_one_for_each_field_after_the_other(seed):
    settings = {
        "epochs": Between(1, 30),
        "optimizer": ("sgd", "adam"),
        "batch_size": 64,
        "learning_rate": Between(1e-3, 1e-1, is_logarithmic=True),
        "momentum": Between(0.1, 0.2),
    }
    chance = random.Random(seed)
    wanted = []
    for _ in range(20):
        epochs = round(1 + 29 * chance.random())
        optimizer = chance.choice(("sgd", "adam"))
        rate = float(f"{1e-3 * 100 ** chance.random():.3g}")  # from a thousandth to a hundred times that
        momentum = float(f"{0.1 + (0.2 - 0.1) * chance.random():.3g}")
        wanted.append((epochs, optimizer, 64, rate, momentum))
    drawn = [
        (config.epochs, config.optimizer, config.batch_size, config.learning_rate, config.momentum)
        for _, config in Plan(settings, draws=20, draws_seed=seed).recipes()
    ]
    assert drawn == wanted


def test_all_of_a_hundred_can_be_drawn_each_once():
    drawn = [config.seed for _, config in Plan({"seed": tuple(range(100))}, draws=100).recipes()]
    assert sorted(drawn) == list(range(100)) != drawn


def test_a_plan_that_says_too_little_or_too_much_names_the_field():
    for settings, told in (
        ({"seed": (1, 2, 1)}, "seed has a value twice: 1, 2, 1."),
        ({"seed": ()}, "seed has no values: give at least one, or leave it out."),
        (
            {"learning_rate": Between(0.1, 0.2)},
            "learning_rate lies between two numbers: say how many runs to draw, or ",
        ),
    ):
        with pytest.raises(InvalidSweep) as error:
            Plan(settings)
        assert str(error.value).startswith(told)


def chosen(plan, *fields):
    return [tuple(getattr(config, field) for field in fields) for _, config in plan.recipes()]


def test_the_definition_is_a_field_like_others():
    assert [definition.name for definition, _ in Plan({"model": ("module", "sequential")}).recipes()] == [
        "module",
        "sequential",
    ]


def test_draws_are_different_lie_between_their_ends_and_depend_on_their_seed_alone():
    settings = {
        "learning_rate": Between(1e-4, 1e-1, is_logarithmic=True),
        "batch_size": Between(32, 256),
        "optimizer": ("sgd", "adam"),
    }
    plan = Plan(settings, draws=50)
    drawn = chosen(plan, "learning_rate", "batch_size", "optimizer")
    assert len(set(drawn)) == plan.count == 50
    assert all(1e-4 <= rate <= 1e-1 and 32 <= size <= 256 for rate, size, _ in drawn)
    assert sum(rate < 10**-2.5 for rate, _, _ in drawn) == pytest.approx(25, abs=12)  # half of the powers of ten
    assert {optimizer for _, _, optimizer in drawn} == {"sgd", "adam"}
    assert chosen(Plan(settings, draws=50), "learning_rate", "batch_size", "optimizer") == drawn
    assert chosen(Plan(settings, draws=50, draws_seed=1), "learning_rate", "batch_size", "optimizer") != drawn
