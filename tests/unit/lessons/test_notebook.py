import errno

import pytest

from cnnlab.lessons.notebook import (
    DamagedNotebook,
    ForgottenLearner,
    KnownLearner,
    Notebook,
    all_notebooks,
    forget,
    is_known,
    notebook_of,
    take_name,
)
from cnnlab.storage import learners
from cnnlab.storage.home import HomeError
from cnnlab.storage.learners import InvalidLearner

NOW, LATER = "2026-12-01T08:00:00+00:00", "2026-12-01T09:00:00+00:00"


def test_what_was_answered_under_a_name_is_there_again():
    book = notebook_of("Ada")
    book.begin("1-draw", NOW)
    book.take("1-draw", 2, "A letter <b>&")
    book.turn_to("1-draw", 3)
    again = notebook_of("Ada")
    assert again == book
    assert (again.answer("1-draw", 2), again.answer("1-draw", 1), again.places) == (
        "A letter <b>&",
        None,
        {"1-draw": 3},
    )


def test_nothing_is_kept_without_a_name(lab_home):
    book = Notebook()
    book.begin("1-draw", NOW)
    book.take("1-draw", 0, "done")
    assert book.answer("1-draw", 0) == "done"
    assert not (lab_home / "learners").exists()


def test_a_lesson_goes_on_where_it_was_left_and_can_be_begun_again():
    book = notebook_of("Ada")
    book.begin("1-draw", NOW)
    book.take("1-draw", 0, "done")
    book.turn_to("1-draw", 4)
    book.begin("1-draw", LATER)
    assert (book.begun["1-draw"], book.places["1-draw"], book.answer("1-draw", 0)) == (NOW, 4, "done")
    book.begin("1-draw", LATER, again=True)
    assert (book.begun["1-draw"], book.places["1-draw"], book.answer("1-draw", 0)) == (LATER, 0, None)


def test_a_name_is_the_same_in_capitals_and_with_spaces_around_it():
    notebook_of("Ada").begin("1-draw", NOW)
    assert notebook_of("  ADA ").begun == {"1-draw": NOW}
    assert notebook_of("Ada L").begun == {}


@pytest.mark.parametrize("name", ["../../x", "<script>", "a\nb", "名前", "\u202e", "x" * 40, "con"])
def test_any_name_is_kept_in_the_folder_for_learners(name, lab_home):
    notebook_of(name).begin("1-draw", NOW)
    assert notebook_of(name).begun == {"1-draw": NOW}
    (file,) = (lab_home / "learners").iterdir()
    assert file.suffix == ".json"
    assert not (lab_home.parent / "x.json").exists()


@pytest.mark.parametrize("name", ["", "   ", "x" * 41])
def test_no_name_is_refused(name):
    with pytest.raises(InvalidLearner, match="1 to 40 letters"):
        notebook_of(name)


INFINITE = '{"learner": "Ada", "answers": {}, "begun": {}, "places": {"1-draw": Infinity}}'
NO_ZONE = '{"learner": "Ada", "answers": {}, "begun": {"1-draw": "2026-12-01"}, "places": {}}'


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", INFINITE, NO_ZONE, '{"answers": 3, "begun": {}, "places": {}}', "{" * 5_000]
)
def test_answers_that_cannot_be_read_are_said_to_be_so_and_kept(content, lab_home):
    notebook_of("Ada").begin("1-draw", NOW)
    (file,) = (lab_home / "learners").iterdir()
    file.write_text(content)
    with pytest.raises(DamagedNotebook, match="The answers of Ada cannot be read"):
        notebook_of("Ada")
    assert file.read_text() == content


def test_all_that_is_kept_under_a_name_can_be_deleted(lab_home):
    for name in ("Ada", "Bob"):
        notebook_of(name).begin("1-draw", NOW)
    forget("ada")
    assert notebook_of("Ada").begun == {}
    assert notebook_of("Bob").begun == {"1-draw": NOW}
    forget("Ada")


def test_two_tabs_of_one_learner_lose_nothing_of_each_other():
    one, other = notebook_of("Ada"), notebook_of("Ada")
    one.begin("1-draw", NOW)
    one.take("1-draw", 0, "here")
    other.begin("2-two-ways", NOW)
    other.take("2-two-ways", 0, "there")
    one.turn_to("1-draw", 1)
    assert (
        notebook_of("Ada")
        == one
        == Notebook(
            "Ada",
            {"1-draw": {"0": "here"}, "2-two-ways": {"0": "there"}},
            {"1-draw": NOW, "2-two-ways": NOW},
            {"1-draw": 1, "2-two-ways": 0},
        )
    )


def test_a_lesson_that_another_tab_has_begun_is_not_begun_again():
    one, other = notebook_of("Ada"), notebook_of("Ada")
    one.begin("1-draw", NOW)
    one.take("1-draw", 0, "here")
    other.begin("1-draw", LATER)
    assert notebook_of("Ada").answer("1-draw", 0) == "here"
    assert other.begun == {"1-draw": NOW}


def test_a_name_is_written_as_it_was_at_first():
    notebook_of("Ada").begin("1-draw", NOW)
    assert notebook_of("ADA").learner == "Ada"


def test_all_notebooks_are_listed_by_name_without_those_that_cannot_be_read(lab_home):
    assert all_notebooks() == []
    for name in ("bob", "Ada", "Eve"):
        assert not is_known(name)
        notebook_of(name).begin("1-draw", NOW)
    damaged = next(path for path in (lab_home / "learners").iterdir() if "Eve" in path.read_text())
    damaged.write_text("[" * 10_000)
    assert [book.learner for book in all_notebooks()] == ["Ada", "bob"]
    assert is_known("BOB")


def test_a_notebook_that_another_tab_has_deleted_is_not_written_again():
    one, other = notebook_of("Ada"), notebook_of("Ada")
    for book in (one, other):
        book.begin("1-draw", NOW)
    forget("Ada")
    assert one.is_forgotten
    with pytest.raises(ForgottenLearner, match="All that belonged to Ada was deleted"):
        one.take("1-draw", 0, "here")
    assert not is_known("Ada")
    assert not notebook_of("Ada").is_forgotten


def test_what_was_answered_before_a_name_was_said_comes_along_and_what_the_name_had_answered_stays():
    kept = notebook_of("Ada")
    kept.begin("1-draw", NOW)
    kept.take("1-draw", 0, "earlier")
    so_far = Notebook()
    for lesson in ("1-draw", "2-two-ways"):
        so_far.begin(lesson, LATER)
        so_far.take(lesson, 0, "now")
        so_far.take(lesson, 1, "now too")
    with pytest.raises(KnownLearner):
        take_name("ada", so_far, is_new=True)
    book = take_name("ada", so_far, is_new=False)
    assert book == notebook_of("Ada")
    assert book.begun == {"1-draw": NOW, "2-two-ways": LATER}
    assert book.answers == {
        "1-draw": {"0": "earlier", "1": "now too"},
        "2-two-ways": {"0": "now", "1": "now too"},
    }
    assert take_name("Bob", book, is_new=True) == Notebook("Bob")


def test_a_home_that_cannot_be_written_is_said_to_be_so(monkeypatch):
    book = take_name("Ada", Notebook(), is_new=True)
    monkeypatch.setattr(learners, "exclusive_lock", read_only)
    for change in (lambda: book.begin("1-draw", NOW), lambda: forget("Ada"), lambda: take_name("B", book, is_new=True)):
        with pytest.raises(HomeError):
            change()


def read_only(path):
    raise OSError(errno.EROFS, "Read-only file system", str(path))
