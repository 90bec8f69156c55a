import numpy as np
import pytest

from cnnlab.comparison.statistics import compare_answers
from cnnlab.ui.compare import answers
from cnnlab.ui.frame.session import Key


@pytest.fixture
def state(monkeypatch):
    kept = {}
    monkeypatch.setattr(answers.st, "session_state", kept)
    return kept


def test_a_cell_of_another_matrix_takes_the_place_of_the_first_whose_figure_is_made_anew(state):
    at_first = answers._figure_key("first"), answers._figure_key("second")
    answers._keep_cell("first", 4, 9)
    answers._keep_cell("first", 3, 5)
    assert (answers._figure_key("first"), answers._figure_key("second")) == at_first
    answers._keep_cell("second", 7, 2)
    assert state[Key.CONFUSION_CELL] == ("second", 7, 2)
    then = answers._figure_key("first")
    assert answers._figure_key("second") == at_first[1]
    answers._keep_cell("first", 1, 2)
    answers._keep_cell("second", 1, 2)
    assert len({at_first[0], then, answers._figure_key("first")}) == 3


def test_the_table_of_verdicts_has_a_row_for_each_two_runs():
    digits = np.array([1, 2, 3, 4])
    given = [np.array([1, 2, 3, 0]), np.array([1, 0, 0, 4]), np.array([1, 2, 3, 0])]
    verdicts = {pair: compare_answers(digits, *(given[place] for place in pair)) for pair in ((0, 1), (0, 2), (1, 2))}
    table = answers._verdict_table(verdicts, ["A", "B", "C"])
    assert table[["first", "second", "only_first", "only_second", "p_value"]].to_numpy().tolist() == [
        ["A", "B", 2, 1, 1.0],
        ["A", "C", 0, 0, 1.0],
        ["B", "C", 1, 2, 1.0],
    ]
    assert table["verdict"].str.contains("A is right on 2 .*B on 1 ").tolist() == [True, False, False]
