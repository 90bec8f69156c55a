import pytest

from cnnlab.storage.learners import InvalidLearner, checked_learner, is_same_learner, learner_path


def test_a_name_is_one_line_with_one_space_between_its_words():
    assert checked_learner("  Ada   L ") == "Ada L"
    assert checked_learner("A\u202ed\na") == "A\ufffdd\ufffda"


@pytest.mark.parametrize("name", ["", "  ", "\u200d", "a" * 41])
def test_nothing_and_too_much_is_no_name(name):
    with pytest.raises(InvalidLearner, match="1 to 40 letters"):
        checked_learner(name)


def test_a_name_is_the_same_however_its_letters_are_written():
    assert checked_learner("Zoe\u0308") == checked_learner("Zo\u00eb")
    assert learner_path("ADA", ".json") == learner_path("ada", ".json") != learner_path("Bob", ".json")


def test_names_that_look_the_same_are_the_same():
    assert checked_learner("Ada\u200d\ufe0f") == "Ada"
    assert is_same_learner("ADA", "Ada")
    assert not is_same_learner("Ada", "Bob")
    assert not is_same_learner(None, None)
