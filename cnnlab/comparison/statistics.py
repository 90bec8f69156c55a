"""Confidence intervals, and tests of whether a difference is more than chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import sqrt
from statistics import NormalDist

import numpy as np

from cnnlab.inference.test_set import Predictions
from cnnlab.wording import percent

SIGNIFICANCE = 0.05


def accuracy_interval(right: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share: Wilson's score interval.

    References
    ----------
    E. B. Wilson (1927), Probable inference, the law of succession, and statistical inference.
    """
    z = NormalDist().inv_cdf(0.975)
    share, correction = right / total, z**2 / total
    centre = share + correction / 2
    half_width = z * sqrt(share * (1 - share) / total + correction / total / 4)
    return (centre - half_width) / (1 + correction), (centre + half_width) / (1 + correction)


def share_in_words(right: int, total: int) -> str:
    """Return a share with its interval: "98.44 % (95 % interval 98.18 to 98.66 %)"."""
    return f"{percent(right / total)} ({interval_in_words(*accuracy_interval(right, total))})"


def interval_in_words(low: float, high: float) -> str:
    """Return the ends of an interval of a share: "95 % interval 98.18 to 98.66 %"."""
    return f"95 % interval {percent(low).removesuffix(' %')} to {percent(high)}"


@dataclass(frozen=True)
class Verdict:
    """Whether the difference between two runs on the same images is more than chance.

    Attributes
    ----------
    only_first, only_second
        On how many images one is right and the other is not.
    differing
        On how many images they answer differently.
    p_value
        How probable so uneven a split of those images, or a more uneven one, would be if both were equally good:
        McNemar's test, exact.
    """

    only_first: int
    only_second: int
    differing: int
    p_value: float

    @property
    def is_more_than_chance(self) -> bool:
        """Whether the difference is called more than chance."""
        return self.p_value < SIGNIFICANCE

    @property
    def is_for_first(self) -> bool:
        """Whether the first is right more often."""
        return self.only_first > self.only_second

    def sentence(self, first: str, second: str) -> str:
        """Return the verdict in words, with the names of the two runs."""
        if not self.differing:
            return f"{first} and {second} give the same answer to every image."
        counts = f"{first} is right on {self.only_first:,} that {second} misses, {second} on {self.only_second:,}"
        p_value = written_p(self.p_value)
        if not self.is_more_than_chance:
            return f"{counts} that {first} misses: no more than chance would explain, {p_value}."
        better = first if self.is_for_first else second
        return f"{counts} that {first} misses: {better} is better than chance would explain, {p_value}."


def written_p(p_value: float) -> str:
    """Return a p-value in words: "p = 0.03", "p < 0.001"."""
    digits = 3 if round(p_value, 2) == SIGNIFICANCE else 2  # 0.0496 is not to be read as 0.05
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.{digits}g}"


def compare_answers(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> Verdict:
    """Compare the answers of two runs to the same images with McNemar's exact test.

    Parameters
    ----------
    labels, first, second
        Shape (N,): digits from 0 to 9.

    References
    ----------
    Q. McNemar (1947), Note on the sampling error of the difference between correlated proportions or percentages.
    """
    first_right, second_right = first == labels, second == labels
    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    p_value = _two_sided_sign_test(only_first, only_second)
    return Verdict(only_first, only_second, int((first != second).sum()), p_value)


def _two_sided_sign_test(heads: int, tails: int) -> float:
    """Return how probable it is that a fair coin falls as unevenly as this, or more so."""
    throws, fewer = heads + tails, min(heads, tails)
    ways_to_choose = accumulate(range(fewer), lambda ways, k: ways * (throws - k) // (k + 1), initial=1)
    return min(1.0, 2 * sum(ways_to_choose) / 2**throws)


def disagreements(predictions: Sequence[Predictions]) -> np.ndarray:
    """Return the images on which the predictions differ, those with the highest mean confidence first.

    Returns
    -------
    ndarray
        Their indices in the test set, int64.
    """
    answers = np.stack([each.answers for each in predictions])
    confidence = np.stack([each.confidences for each in predictions]).mean(axis=0)
    indices = np.flatnonzero((answers != answers[0]).any(axis=0))
    return indices[np.argsort(-confidence[indices], kind="stable")]
