import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnlab.comparison.labels import MOST_PARTS, label_of, labels_of, labels_of_groups, recipe_in_words
from cnnlab.fine_tuning.start import FineTuning
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run, reference_runs
from cnnlab.runs.writer import RunWriter
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


@pytest.mark.slow
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


def changed(run, *changes):
    """Log learning rates that somebody set, each with the step from which it holds."""
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        for step, rate in changes:
            writer.learning_rate_set(step=step, learning_rate=rate)
        writer.stopped()
    return run


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ([], []),
        ([(1_200, 0.01)], ["{} 0.01 from step 1,200"]),
        ([(1_200, 0.01), (2_000, 0.0001)], ["{} 0.01 from step 1,200", "{} 0.0001 from step 2,000"]),
        ([(10, 0.01), (20, 0.1), (30, 0.2)], ["{} changed 3 times"]),
    ],
)
def test_learning_rates_that_were_set_meanwhile_are_named_up_to_two(changes, parts):
    run = changed(run_with("module"), *changes)
    assert label_of(run) == " · ".join(["Module", *(part.format("lr") for part in parts)])
    words = recipe_in_words(run)
    assert words[len(words) - len(parts) :] == [part.format("learning rate") for part in parts]
    assert words[: len(words) - len(parts)] == run.config.described()


def test_with_a_schedule_it_is_the_highest_learning_rate_that_was_set():
    run = changed(run_with(schedule="one-cycle"), (100, 0.01))
    assert recipe_in_words(run)[-1] == "highest learning rate 0.01 from step 100"


def test_runs_of_one_seed_of_which_one_was_changed_meanwhile_need_no_seed():
    runs = [run_with("module"), changed(run_with("module", seed=1), (5, 0.01))]
    assert labels_of(runs) == ["Module", "Module · lr 0.01 from step 5 · seed 1"]


def test_four_parts_are_named_and_a_fifth_is_counted():
    four = {"optimizer": "adam", "learning_rate": 0.01, "epochs": 2, "batch_size": 64}
    assert label_of(run_with(**four)) == "Sequential · Adam · lr 0.01 · 2 epochs · batch 64"
    assert label_of(run_with(**four, shift=1)) == "Sequential · Adam · lr 0.01 · 2 epochs · batch 64 · 1 more"
    assert label_of(run_with(**four, shift=1, validation=5_000)).endswith(" · batch 64 · 2 more")
    assert label_of(run_with(validation=5_000)) == "Sequential · 5,000 images held out"


def test_a_fine_tuned_run_is_called_by_its_name_alone_and_says_what_it_was_made_of():
    start = FineTuning.of("run", "Before", 1_200, b"start"), b"start"
    tuned = [
        create_run(DEFINITIONS["module"], TrainingConfig(threads=1, epochs=1, seed=seed), "Mine", start=start)
        for seed in (1, 2)
    ]
    assert labels_of([tuned[0], run_with("module")]) == ["Mine", "Module"]
    assert recipe_in_words(tuned[0]) == ["fine-tuned from Before with 1,200 own digits", *tuned[0].config.described()]
    assert labels_of_groups([tuned]) == ["Mine"]


def test_two_groups_of_one_name_are_told_apart_by_their_first_run():
    groups = [[run_with("module", seed=seed) for seed in (0, 1)] for _ in range(2)]
    assert labels_of_groups(groups) == [f"Module · seeds 0, 1 ({group[0].id})" for group in groups]


@pytest.mark.parametrize(
    ("seeds", "told"),
    [
        ((4, 3), "3, 4"),
        ((0, 1, 2), "0 to 2"),
        ((0, 2, 4), "0, 2, 4"),
        ((9, 5, 4, 7, 3, 11, 10), "3 to 5, 7, 9 to 11"),
        ((0, 1, 3, 4), "0, 1, 3, 4"),
    ],
)
def test_three_seeds_or_more_that_follow_each_other_are_a_range(seeds, told):
    assert labels_of_groups([[run_with("module", seed=seed) for seed in seeds]]) == [f"Module · seeds {told}"]
