from math import comb

import numpy as np
import pytest
from scipy import stats

from cnnlab.comparison.statistics import (
    Verdict,
    accuracy_interval,
    compare_answers,
    disagreements,
    share_in_words,
    written_p,
)
from cnnlab.inference.test_set import Predictions


@pytest.mark.parametrize(("right", "total"), [(0, 10), (10, 10), (9_835, 10_000), (1, 3)])
def test_the_ends_of_the_interval_are_shares_that_the_score_test_just_allows(right, total):
    """Wilson's interval is where |share - p| is 1.96 standard errors of p."""
    for end in accuracy_interval(right, total):
        assert (right / total - end) ** 2 == pytest.approx(1.959963984540054**2 * end * (1 - end) / total, abs=1e-9)


@pytest.mark.parametrize(("only_first", "only_second"), [(3, 9), (9, 3), (7, 8), (2, 30)])
def test_the_p_value_is_twice_the_tail_of_pascals_triangle(only_first, only_second):
    throws, fewer = only_first + only_second, min(only_first, only_second)
    tail = sum(comb(throws, heads) for heads in range(fewer + 1)) / 2**throws
    first = np.repeat([1, 0], [only_first, only_second])
    found = compare_answers(np.ones(throws, np.int64), first, 1 - first)
    assert found.p_value == pytest.approx(min(1, 2 * tail), rel=1e-12)
    assert (found.only_first, found.only_second, found.differing) == (only_first, only_second, throws)


def test_answers_that_differ_and_are_both_wrong_count_as_differing_only():
    found = compare_answers(np.array([1, 1, 1]), np.array([2, 3, 1]), np.array([3, 3, 1]))
    assert found == Verdict(0, 0, 1, 1.0)


@pytest.mark.parametrize(
    ("p_value", "told"),
    [(0.00099, "p < 0.001"), (0.001, "p = 0.001"), (0.05, "p = 0.05"), (0.05123, "p = 0.0512"), (0.734, "p = 0.73")],
)
def test_a_p_value_is_told_with_as_many_digits_as_count(p_value, told):
    assert written_p(p_value) == told


def test_at_the_limit_itself_chance_explains_it():
    assert "no more than chance would explain, p = 0.05." in Verdict(10, 22, 40, 0.05).sentence("A", "B")


def test_where_both_are_right_as_often_it_is_for_none():
    assert [Verdict(first, second, 40, 1.0).is_for_first for first, second in ((11, 10), (10, 10))] == [True, False]


def test_of_three_runs_those_images_count_on_which_any_differs():
    answers = ([1, 2, 3, 4], [1, 2, 3, 5], [1, 7, 3, 4])
    sure = ([0.9, 0.2, 0.9, 0.5], [0.9, 0.2, 0.9, 0.5], [0.9, 0.9, 0.9, 0.5])
    predictions = [Predictions(np.array(a), np.array(s)) for a, s in zip(answers, sure, strict=True)]
    assert disagreements(predictions).tolist() == [3, 1]


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (0, 6), (1, 9), (40, 61), (7, 7), (600, 512)])
def test_mcnemars_test_is_scipys_of_a_fair_coin(only_first, only_second):
    first = np.repeat([1, 0], [only_first, only_second])
    found = compare_answers(np.ones(len(first), np.int64), first, 1 - first).p_value
    wanted = stats.binomtest(only_first, only_first + only_second).pvalue if len(first) else 1.0
    assert found == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(("right", "total"), [(0, 1), (1, 1), (0, 10_000), (9_999, 10_000), (5, 7), (2_500, 2_575)])
def test_the_interval_is_scipys_wilson(right, total):
    low, high = stats.binomtest(right, total).proportion_ci(method="wilson")
    assert accuracy_interval(right, total) == pytest.approx((low, high), abs=1e-12)


def test_a_share_is_told_with_its_interval():
    assert share_in_words(9_844, 10_000) == "98.44 % (95 % interval 98.18 to 98.66 %)"
    assert share_in_words(1, 2) == "50.00 % (95 % interval 9.45 to 90.55 %)"
