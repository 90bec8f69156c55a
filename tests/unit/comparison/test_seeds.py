from math import sqrt

import numpy as np
import pytest
from scipy import stats

from cnnlab.comparison.seeds import (
    Difference,
    OverSeeds,
    best_first,
    difference,
    seeds_needed,
    student_quantile,
    student_tail,
)


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.706), (2, 4.303), (4, 2.776), (9, 2.262), (30, 2.042), (120, 1.980)]
)
def test_the_quantiles_are_those_of_students_table(freedom, quantile):
    assert student_quantile(freedom) == pytest.approx(quantile, abs=6e-4)
    assert student_tail(quantile, freedom) == pytest.approx(0.05, abs=1e-4)


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0, 4.0, 40.0])
def test_the_tail_has_the_closed_forms_of_one_two_and_four_degrees_of_freedom(t):
    """M. Abramowitz, I. A. Stegun: Handbook of Mathematical Functions, 26.7.3 and 26.7.4."""
    angle, s = np.arctan(t), t / sqrt(2 + t**2)
    assert student_tail(t, 1) == pytest.approx(1 - 2 / np.pi * angle, abs=1e-7)
    assert student_tail(t, 2) == pytest.approx(1 - s, abs=1e-7)
    sine, cosine = t / sqrt(4 + t**2), 2 / sqrt(4 + t**2)
    assert student_tail(t, 4) == pytest.approx(1 - sine * (1 + cosine**2 / 2), abs=1e-7)


def test_of_many_degrees_of_freedom_it_is_the_normal_distribution():
    assert student_tail(1.96, 20_000) == pytest.approx(0.05, abs=2e-4)


def test_the_interval_of_a_mean_is_students():
    """The sleep data of Student (1908): hours gained with the second drug, mean 2.33, s = 2.002, n = 10."""
    gained = (1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4)
    low, high = OverSeeds(tuple(value / 100 + 0.5 for value in gained)).interval
    assert (100 * (low - 0.5), 100 * (high - 0.5)) == pytest.approx((0.8977, 3.7623), abs=5e-4)


def test_welchs_test_gives_the_textbooks_answer():
    """The sleep data of Student (1908), both drugs as groups: t = 1.8608, 17.776 degrees of freedom, p = 0.07939."""
    first = OverSeeds((0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0))
    second = OverSeeds((1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4))
    found = difference(first, second)
    assert (found.size, found.p_value) == pytest.approx((1.58, 0.07939), abs=1e-5)
    assert not found.is_more_than_chance


@pytest.mark.slow
def test_the_seeds_that_are_needed_find_the_difference_in_four_of_five_tries():
    first, second = OverSeeds((0.978, 0.980, 0.982)), OverSeeds((0.979, 0.982, 0.985))
    needed = seeds_needed(first, second)
    chance = np.random.default_rng(0)
    found = 0
    for _ in range(1_000):
        groups = [chance.normal(mean, spread, needed) for mean, spread in ((0.980, 0.002), (0.982, 0.003))]
        found += difference(*(OverSeeds(tuple(group)) for group in groups)).is_more_than_chance
    assert found / 1_000 == pytest.approx(0.8, abs=0.04)


@pytest.mark.slow
def test_the_best_of_equally_good_groups_is_rarely_called_better_than_the_next():
    chance = np.random.default_rng(0)
    alarms = 0
    for _ in range(1_000):
        groups = [OverSeeds(tuple(chance.normal(size=3))) for _ in range(3)]
        best, second, *_ = best_first(groups)
        alarms += difference(groups[best], groups[second]).is_more_than_chance
    assert alarms / 1_000 < 0.05


def test_a_single_seed_has_no_interval_and_no_verdict():
    single = OverSeeds((0.97,))
    assert single.interval is None
    assert single.in_words() == "97.00 % (one seed)"
    found = difference(single, OverSeeds((0.96, 0.98)))
    assert (found.p_value, found.needed) == (None, None)
    assert "single seeds cannot say" in found.in_words()


def test_groups_that_no_seed_moves_are_told_apart_from_equal_ones():
    assert difference(OverSeeds((0.97, 0.97)), OverSeeds((0.97, 0.97))).p_value == 1
    assert difference(OverSeeds((0.97, 0.97)), OverSeeds((0.98, 0.98))).p_value is None


def test_a_mean_is_told_with_its_interval():
    assert OverSeeds((0.98, 0.984)).in_words() == "98.20 % (95 % interval 95.66 to 100.00 %, 2 seeds)"


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (Difference(0.0123, 0.0004, 3), "1.23 percentage points, more than chance would explain, p < 0.001"),
        (
            Difference(0.0012, 0.42, 31),
            "0.12 percentage points, which chance alone would explain, p = 0.42; were it real, it would take about 31 "
            "seeds of each to tell",
        ),
        (
            Difference(0.0001, 0.97, 40_000),
            "0.01 percentage points, which chance alone would explain, p = 0.97; were it real, it would take more than "
            "1,000 seeds of each to tell",
        ),
    ],
)
def test_a_difference_is_told_in_words(found, told):
    assert found.in_words() == told


def test_students_p_of_two_by_two_seeds_is_the_closed_form_of_two_degrees_of_freedom():
    """Two groups of two with one spread: Welch's degrees of freedom are 2, the tail is 1 - t / √(2 + t²)."""
    first, second = OverSeeds((0.97, 0.98)), OverSeeds((0.98, 0.99))
    t = 0.01 / sqrt(0.00005 / 2 + 0.00005 / 2)
    found = difference(first, second)
    assert found.p_value == pytest.approx(1 - t / sqrt(2 + t**2), abs=1e-7)
    assert found.needed == seeds_needed(first, second) == 9  # (1.96 + 0.8416)² · 1 + 1.96² / 4 = 8.81


def test_so_many_seeds_are_two_at_least_and_none_where_nothing_can_be_told():
    assert seeds_needed(OverSeeds((0.1, 0.1001)), OverSeeds((0.9, 0.9001))) == 2
    assert seeds_needed(OverSeeds((0.1, 0.2)), OverSeeds((0.1, 0.2))) is None
    assert seeds_needed(OverSeeds((0.1,)), OverSeeds((0.2, 0.3))) is None
    assert seeds_needed(OverSeeds((0.1, 0.2)), OverSeeds((0.2,))) is None


def test_an_infinite_t_leaves_nothing_to_chance():
    assert student_tail(float("inf"), 3) == 0


@pytest.mark.parametrize(("needed", "told"), [(1_000, "about 1,000 seeds"), (1_001, "more than 1,000 seeds")])
def test_up_to_a_thousand_seeds_are_named(needed, told):
    assert told in Difference(0.001, 0.5, needed).in_words()


def test_a_p_value_at_the_limit_is_not_more_than_chance():
    assert not Difference(0.01, 0.05, 3).is_more_than_chance
    assert Difference(0.01, 0.0499, 3).is_more_than_chance
    assert Difference(0.01, 0.3, None).in_words().endswith("p = 0.3")


def test_the_group_with_the_best_mean_comes_first_and_of_equals_the_earlier():
    groups = [OverSeeds((0.97, 0.96)), OverSeeds((0.99, 0.98)), OverSeeds((0.995, 0.1)), OverSeeds((0.96, 0.97))]
    assert best_first(groups) == [1, 0, 3, 2]


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 19, 250])
def test_the_quantiles_and_tails_are_scipys(freedom):
    assert student_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-6)
    for t in (0, 0.01, 0.7, 2.1, 12.9, -2.1):
        assert student_tail(t, freedom + 0.3) == pytest.approx(2 * stats.t.sf(abs(t), freedom + 0.3), abs=1e-6)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((0.97, 0.98), (0.98, 0.985)),
        ((0.9601, 0.9712, 0.9655), (0.9711, 0.9809)),
        ((0.98, 0.981, 0.982, 0.983, 0.979), (0.9805, 0.9812, 0.984)),
        ((0.1, 0.5, 0.9), (0.2, 0.2, 0.21, 0.22)),
    ],
)
def test_two_groups_are_compared_as_scipy_does(first, second):
    found, turned = (difference(OverSeeds(a), OverSeeds(b)) for a, b in ((first, second), (second, first)))
    assert found.p_value == pytest.approx(stats.ttest_ind(first, second, equal_var=False).pvalue, abs=1e-6)
    assert found.size == pytest.approx(abs(np.mean(first) - np.mean(second)), rel=1e-12)
    assert (turned.size, turned.needed) == (found.size, found.needed)
    spreads = np.var(first, ddof=1) + np.var(second, ddof=1)
    z, z_power = stats.norm.ppf([0.975, 0.8])
    assert found.needed == max(2, int(np.ceil((z + z_power) ** 2 * spreads / found.size**2 + z**2 / 4)))
    interval = stats.t.interval(0.95, len(first) - 1, np.mean(first), stats.sem(first))
    assert OverSeeds(first).interval == pytest.approx(np.clip(interval, 0, 1), abs=1e-7)


@pytest.mark.parametrize("whole", range(2, 40))
def test_so_many_seeds_are_needed_as_the_sample_size_formula_says_and_no_fewer(whole):
    """Two groups of one spread s whose difference is d: n = 2 (1.95996 + 0.84162)² s² / d² + 1.95996² / 4."""
    z, z_power = stats.norm.ppf([0.975, 0.8])
    for shift, needed in ((-0.002, whole), (0.002, whole + 1)):
        if whole + shift > z**2 / 4:
            ratio = (whole + shift - z**2 / 4) / (z + z_power) ** 2  # of the summed variances to d²
            half = np.sqrt(ratio) / 2 * 0.01  # a group of mean ± half has the variance 2 · half²
            groups = [OverSeeds((mean - half, mean + half)) for mean in (0.5, 0.51)]
            assert seeds_needed(*groups) == needed


def test_an_interval_is_cut_where_no_accuracy_lies():
    assert OverSeeds((0.0, 0.1)).interval[0] == 0
    assert OverSeeds((1.0, 0.9)).interval[1] == 1
    assert OverSeeds((0.5, 0.5, 0.5)).interval == (0.5, 0.5)


def test_one_group_that_no_seed_moves_can_be_told_from_one_that_moves():
    found = difference(OverSeeds((0.9, 0.9)), OverSeeds((0.97, 0.98)))
    assert (found.p_value, found.needed) == (pytest.approx(2 * stats.t.sf(15, 1), abs=1e-6), 2)
    assert difference(OverSeeds((0.9, 0.9)), OverSeeds((0.97, 0.97))) == Difference(pytest.approx(0.07), None, None)
