import numpy as np

from cnnlab.inference.test_set import Predictions
from cnnlab.ui.answers.gallery import _answers


def predictions(*answers):
    return [Predictions(np.array([0, answer]), np.array([0.5, 0.976])) for answer in answers]


def test_each_of_a_few_networks_has_its_answer_and_how_sure_it_is():
    assert _answers(1, ["One", "Another"], predictions(7, 9)) == ["One: 7 (98 %)", "Another: 9 (98 %)"]


def test_of_many_networks_it_is_told_who_gives_which_answer():
    names = ["a", "b", "c", "d", "e", "f"]
    assert _answers(1, names, predictions(7, 9, 7, 7, 2, 9)) == ["7: a; c; d", "9: b; f", "2: e"]
