"""Where a network errs: its confusion matrix, and its worst errors."""

import numpy as np

from cnnlab.inference.test_set import DIGITS, Predictions


def confusion_matrix(labels: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Return how often each digit (row) was classified as each digit (column): shape (10, 10), int64.

    Parameters
    ----------
    labels, answers
        Shape (N,): digits from 0 to 9.
    """
    return np.bincount(labels.astype(np.int64) * DIGITS + answers, minlength=DIGITS**2).reshape(DIGITS, DIGITS)


def worst_errors(labels: np.ndarray, predictions: Predictions) -> np.ndarray:
    """Return the misclassified images, the most confident prediction first.

    Parameters
    ----------
    labels
        Shape (N,): digits from 0 to 9.

    Returns
    -------
    ndarray
        Their indices in the test set, int64.
    """
    indices = np.flatnonzero(predictions.answers != labels)
    return indices[np.argsort(-predictions.confidences[indices], kind="stable")]
