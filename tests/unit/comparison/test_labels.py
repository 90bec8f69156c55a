import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnlab.comparison.labels import MOST_PARTS, label_of, labels_of, labels_of_groups
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run, reference_runs
from cnnlab.training.recipe import PRESETS, TrainingConfig


def run_with(model="sequential", name=None, **recipe):
    return create_run(DEFINITIONS[model], TrainingConfig(**{"threads": 1, **recipe}), name)


@pytest.mark.parametrize(
    ("recipe", "label"),
    [
        ({}, "Sequential"),
        ({"learning_rate": 0.003, "epochs": 3}, "Sequential · lr 0.003 · 3 epochs"),
        ({"optimizer": "adamw", "batch_size": 64, "augment": True}, "Sequential · AdamW · batch 64 · augmentation"),
        ({"seed": 2}, "Sequential · seed 2"),
        ({"threads": 7, "kernels": "torch"}, "Sequential"),
        (PRESETS["drawing"], "Sequential · for drawing"),
        ({**PRESETS["speedrun"], "seed": 1}, "Sequential · speedrun · seed 1"),
        ({**PRESETS["speedrun"], "epochs": 5}, "Sequential · SGD, Nesterov · lr 0.1 · 5 epochs · batch 64 · 3 more"),
    ],
)
def test_a_run_is_called_by_what_differs_from_the_tutorials_recipe(recipe, label):
    assert label_of(run_with(**recipe)) == label


def test_a_persons_name_stands_before_the_rest():
    assert label_of(run_with(name="For Ada", learning_rate=0.003)) == "For Ada · Sequential · lr 0.003"


def test_a_persons_name_that_says_the_definition_says_it_for_the_label():
    assert label_of(run_with("module", "My module", epochs=1)) == "My module · 1 epoch"


def test_the_shipped_runs_are_called_by_their_names_alone():
    assert labels_of(reference_runs()) == [
        "Reference: nn.Sequential",
        "Reference: nn.Module",
        "Reference: For drawing",
    ]


def test_seeds_are_named_where_runs_differ_in_nothing_else():
    runs = [run_with(), run_with(seed=1), run_with("module")]
    assert labels_of(runs) == ["Sequential · seed 0", "Sequential · seed 1", "Module"]


def test_threads_and_backend_are_named_where_runs_of_one_seed_differ_in_them():
    runs = [run_with(threads=1), run_with(threads=2), run_with("module", threads=2), run_with(seed=1, threads=2)]
    assert labels_of(runs) == [
        "Sequential · seed 0 · 1 thread",
        "Sequential · seed 0 · 2 threads",
        "Module",
        "Sequential · seed 1",
    ]
    assert labels_of([run_with(kernels="torch"), run_with(kernels="fused")]) == [
        "Sequential · torch backend",
        "Sequential · fused backend",
    ]


def test_runs_that_differ_in_nothing_have_their_identifiers():
    first, second = run_with(), run_with()
    assert labels_of([first, second]) == [f"Sequential ({first.id})", f"Sequential ({second.id})"]


def test_of_many_parts_those_stay_that_tell_neighbours_apart():
    common = {"optimizer": "adam", "learning_rate": 0.01, "epochs": 2, "batch_size": 64}
    runs = [run_with(**common, shift=1), run_with(**common, shift=2)]
    assert labels_of(runs) == [
        "Sequential · Adam · lr 0.01 · 2 epochs · shift 1 pixel · 1 more",
        "Sequential · Adam · lr 0.01 · 2 epochs · shift 2 pixels · 1 more",
    ]


def test_a_group_is_called_by_its_recipe_and_its_seeds():
    groups = [[run_with("module", seed=seed) for seed in (0, 1, 2, 5)], [run_with(epochs=3)]]
    assert labels_of_groups(groups) == ["Module · seeds 0 to 2, 5", "Sequential · 3 epochs"]


def test_the_seeds_of_a_group_are_named_once_where_those_of_another_are_others():
    groups = [
        [run_with(name, seed=seed) for seed in seeds] for name, seeds in (("module", (0, 1)), ("sequential", (2, 3)))
    ]
    assert labels_of_groups(groups) == ["Module · seeds 0, 1", "Sequential · seeds 2, 3"]


def test_groups_that_differ_in_their_threads_are_told_apart():
    groups = [[run_with(seed=seed, threads=threads) for seed in (0, 1)] for threads in (1, 2)]
    assert labels_of_groups(groups) == ["Sequential · 1 thread · seeds 0, 1", "Sequential · 2 threads · seeds 0, 1"]


def test_a_run_whose_network_is_written_otherwise_now_says_so(monkeypatch):
    run = run_with("module")
    monkeypatch.setattr(type(DEFINITIONS["module"]), "source", property(lambda self: "another one"))
    assert label_of(run) == "Module · other source"


RECIPES = st.fixed_dictionaries(
    {},
    optional={
        "epochs": st.integers(1, 30),
        "learning_rate": st.sampled_from([0.0003, 0.001, 0.003]),
        "optimizer": st.sampled_from(["rmsprop", "adam", "adamw", "sgd"]),
        "batch_size": st.sampled_from([64, 128]),
        "momentum": st.sampled_from([0, 0.5, 0.9]),
        "weight_decay": st.sampled_from([0.0, 0.01]),
        "schedule": st.sampled_from(["constant", "one-cycle"]),
        "augment": st.booleans(),
        "shift": st.integers(0, 4),
        "seed": st.integers(0, 3),
        "threads": st.integers(1, 2),
        "kernels": st.sampled_from(["auto", "torch"]),
    },
)
# Names that look like what the lab writes itself.
NAMES = st.none() | st.sampled_from(["Mine", "Sequential", "Module · seed 1", "Sequential · lr 0.003", "<b>"])
RUNS = st.lists(st.tuples(st.sampled_from(["sequential", "module"]), NAMES, RECIPES), min_size=1, max_size=6)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RUNS, st.randoms(use_true_random=False))
def test_labels_are_distinct_short_and_the_same_in_any_order(recipes, chance: random.Random):
    runs = [run_with(model, name, **recipe) for model, name, recipe in recipes]
    labels = dict(zip([run.id for run in runs], labels_of(runs), strict=True))
    assert len(set(labels.values())) == len(runs)
    for run in runs:
        # Name, definition, parts, "n more", seed, three of the machine; the identifiers stand behind them.
        assert labels[run.id].count(" · ") - run.name.count(" · ") <= 1 + MOST_PARTS + 1 + 1 + 3
        assert len(labels[run.id]) <= len(run.name) + 180
    shuffled = list(runs)
    chance.shuffle(shuffled)
    assert dict(zip([run.id for run in shuffled], labels_of(shuffled), strict=True)) == labels


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RUNS)
def test_a_new_run_of_another_definition_renames_no_other(recipes):
    """Names that the lab computes change only where a run comes that is alike: a stable name can be remembered."""
    runs = [run_with(model, None, **{**recipe, "shift": 0}) for model, _, recipe in recipes]
    before = labels_of(runs)
    assert labels_of([*runs, run_with("residual")])[:-1] == before
