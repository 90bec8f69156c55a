import pandas as pd
import pytest

from cnnlab.conclusions.values import answer, collapses, values_of


def table(*rows, **columns):
    """Return a sweep's table: learning rate, seed, accuracy, status."""
    names = ["learning_rate", "seed", "test_accuracy", "status"]
    made = pd.DataFrame(rows, columns=names).assign(**columns)
    return made.assign(run=[f"run{place}" for place in range(len(rows))])


def told(rows, *, is_running=False, tried=("learning_rate", "seed")):
    return answer(values_of(table(*rows), tried, "test_accuracy"), is_running=is_running)


EQUAL = [(rate, seed, 0.98 + seed / 1_000, "finished") for rate in (0.001, 0.003) for seed in range(3)]
CLEAR = [(rate, seed, 0.9 + 10 * rate + seed / 5_000, "finished") for rate in (0.001, 0.003) for seed in range(3)]


def test_the_best_value_is_that_of_the_best_mean_and_not_of_the_luckiest_run():
    rows = [(0.001, 0, 0.97, "finished"), (0.001, 1, 0.98, "finished")]
    rows += [(0.01, 0, 0.99, "finished"), (0.01, 1, 0.1, "finished")]
    values = values_of(table(*rows), ("learning_rate", "seed"), "test_accuracy")
    assert [value.name for value in values] == ["learning rate 0.001", "learning rate 0.01"]
    assert [value.collapsed for value in values] == [0, 1]
    assert values[0].run_ids == ("run0", "run1")
    assert collapses(values) == "Collapsed, and counted as they are: 1 of 2 runs with learning rate 0.01."


def test_a_difference_that_chance_explains_is_said_to_be_none():
    assert "which chance alone would explain, p = 1." in told(EQUAL)


def test_a_clear_difference_is_more_than_chance():
    sentence = told(CLEAR)
    assert sentence.startswith("Learning rate 0.003 has the best mean accuracy: 93.02 % (95 % interval ")
    assert "2.00 percentage points, more than chance would explain, p < 0.001" in sentence


def test_only_while_it_runs_the_answer_is_for_now():
    assert told(CLEAR, is_running=True).startswith("So far, learning rate 0.003 has")
    assert "far" not in told(CLEAR)


def test_runs_that_did_not_finish_count_for_nothing():
    unfinished = [(0.01, 0, 0.999, status) for status in ("stopped", "running", "failed", "pruned", "interrupted")]
    assert told([*CLEAR, *unfinished]) == told(CLEAR)


def test_one_value_alone_has_nothing_beside_it():
    assert told(CLEAR[:3]).endswith("No other value has a finished run.")


def test_seeds_alone_tell_how_far_chance_goes():
    rows = [(0.001, seed, 0.97 + seed / 100, "finished") for seed in range(3)]
    assert told(rows, tried=("seed",)) == (
        "The mean accuracy is 98.00 % (95 % interval 95.52 to 100.00 %, 3 seeds), from 97.00 % to 99.00 %: so far "
        "chance alone moves it."
    )


def test_several_settings_are_named_together():
    rows = table((0.001, 0, 0.97, "finished"), (0.003, 0, 0.98, "finished"), epochs=[1, 2], model=["module"] * 2)
    best, _ = values_of(rows, ("learning_rate", "epochs"), "test_accuracy")
    assert best.name == "learning rate 0.003, 2 epochs"


def test_nothing_finished_is_no_value():
    assert values_of(table((0.001, 0, float("nan"), "queued")), ("learning_rate",), "test_accuracy") == []


def test_of_three_values_the_second_best_is_held_against_the_best():
    rows = [(0.01, 0, 0.91, "finished"), *CLEAR]
    assert "The next best is learning rate 0.001 with 91.02 % (95 % interval " in told(rows)
    assert "learning rate 0.01" not in told(rows)
    assert "The next best is learning rate 0.001 with 91.02 % " in told([*CLEAR, (0.01, 0, 0.9, "finished")])


def test_one_seed_alone_goes_nowhere():
    assert told([(0.001, 0, 0.97, "finished")], tried=("seed",)) == "The mean accuracy is 97.00 % (one seed)."
    assert told([(0.001, 0, 0.97, "finished")], tried=(), is_running=True) == (
        "So far, the mean accuracy is 97.00 % (one seed)."
    )


def test_each_value_with_which_runs_collapsed_is_named():
    rows = [(rate, seed, 0.1 if seed < 2 else 0.97, "finished") for rate in (0.01, 0.03) for seed in range(3)]
    rows += [(0.001, 0, 0.98, "finished")]
    assert collapses(values_of(table(*rows), ("learning_rate", "seed"), "test_accuracy")) == (
        "Collapsed, and counted as they are: 2 of 3 runs with learning rate 0.01; 2 of 3 runs with learning rate 0.03."
    )
    assert collapses(values_of(table(*CLEAR), ("learning_rate", "seed"), "test_accuracy")) == ""


def test_seeds_that_collapsed_are_counted_without_the_name_of_a_value():
    rows = table((0.01, 0, 0.1, "finished"))
    assert collapses(values_of(rows, ("seed",), "test_accuracy")) == "Collapsed, and counted as they are: 1 of 1 run."


def test_a_run_collapses_on_mnist_whatever_accuracy_is_looked_at():
    rows = table((0.01, 0, 0.1, "finished"), (0.01, 1, 0.97, "finished"), (0.01, 2, 0.97, "finished"))
    rows["pen_accuracy"] = [0.9, 0.1, None]
    (value,) = values_of(rows, ("learning_rate",), "pen_accuracy")
    assert (value.collapsed, value.run_ids, value.seeds.accuracies) == (1, ("run0", "run1"), (0.9, 0.1))


@pytest.mark.parametrize(
    ("setting", "value", "name"),
    [
        ("model", "module", "nn.Module"),
        ("model", "Rows", "Rows"),  # somebody's own
        ("learning_rate", 0.003, "learning rate 0.003"),
        ("batch_size", 64, "batch size 64"),
        ("optimizer", "adamw", "optimizer adamw"),
        ("schedule", "one-cycle", "schedule one-cycle"),
        ("kernels", "torch", "backend torch"),
        ("epochs", 1, "1 epoch"),
        ("momentum", 0.5, "momentum 0.5"),
    ],
)
def test_a_value_is_called_as_people_call_it(setting, value, name):
    rows = table((0.001, 0, 0.97, "finished"), **{setting: [value]})
    assert [each.name for each in values_of(rows, (setting,), "test_accuracy")] == [name]
