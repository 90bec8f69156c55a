import pytest

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
