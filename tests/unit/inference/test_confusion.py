import numpy as np

from cnnlab.inference.confusion import confusion_matrix, worst_errors
from cnnlab.inference.test_set import Predictions


def test_every_pair_of_digit_and_answer_has_its_place():
    labels, answers = np.divmod(np.arange(100), 10)
    matrix = confusion_matrix(np.repeat(labels, np.arange(100)), np.repeat(answers, np.arange(100)).astype(np.uint8))
    assert matrix.tolist() == np.arange(100).reshape(10, 10).tolist()


def test_errors_of_one_confidence_come_in_the_test_sets_order():
    predictions = Predictions(np.array([1, 2, 3, 4]), np.array([0.5, 0.7, 0.7, 0.9]))
    assert worst_errors(np.array([0, 0, 0, 4]), predictions).tolist() == [1, 2, 0]


def test_answers_that_were_never_given_are_counted_as_none():
    matrix = confusion_matrix(np.array([2, 2], np.uint8), np.array([9, 9], np.uint8))
    assert matrix.shape == (10, 10)
    assert matrix[2, 9] == matrix.sum() == 2
