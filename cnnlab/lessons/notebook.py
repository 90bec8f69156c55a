"""What a learner has answered, kept in the home under his name, or for as long as his tab is open if he gave none."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from cnnlab.errors import LabError
from cnnlab.storage.files import replacing
from cnnlab.storage.home import listing, writing_to_home
from cnnlab.storage.learners import InvalidLearner, alone_with, checked_learner, learner_path, learners_folder

LONGEST_SENTENCE = 2_000


class DamagedNotebook(LabError):
    """A learner's answers cannot be read."""


class KnownLearner(LabError):
    """Somebody of that name has been here."""


class ForgottenLearner(LabError):
    """All that belonged to a name was deleted."""


@dataclass
class Notebook:
    """The answers of one learner.

    Attributes
    ----------
    learner
        The name; empty where he gave none, and nothing is kept.
    answers
        By the lesson's name and the step's number, from 0: what was predicted, chosen or written, as a text; "done" of
        what the lab has seen done.
    begun
        By the lesson's name, when it was begun: the runs made since are the lesson's. An ISO time in UTC.
    places
        By the lesson's name, the step that was looked at last.
    is_kept
        Whether it lies in the home.
    """

    learner: str = ""
    answers: dict[str, dict[str, str]] = field(default_factory=dict)
    begun: dict[str, str] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)
    is_kept: bool = field(default=False, compare=False)

    def answer(self, lesson: str, step: int) -> str | None:
        """Return what was answered in a step of a lesson, or None."""
        return self.answers.get(lesson, {}).get(str(step))

    def take(self, lesson: str, step: int, answer: str) -> None:
        """Keep what was answered in a step of a lesson."""
        self._change(lambda book: book.answers.setdefault(lesson, {}).update({str(step): answer[:LONGEST_SENTENCE]}))

    def turn_to(self, lesson: str, step: int) -> None:
        """Remember the step that is looked at."""
        if self.places.get(lesson) != step:
            self._change(lambda book: book.places.update({lesson: step}))

    def begin(self, lesson: str, now: str, *, again: bool = False) -> None:
        """Begin a lesson, if it was not begun before or is to be begun again; then its answers are forgotten."""

        def begin_it(book: Notebook) -> None:
            if again or lesson not in book.begun:
                book.begun[lesson] = now
                book.answers.pop(lesson, None)
                book.places[lesson] = 0

        if again or lesson not in self.begun:
            self._change(begin_it)

    def _change(self, change: Callable[["Notebook"], None]) -> None:
        """Change it here and, if it has a learner's name, in the home, where another tab may have written since."""
        change(self)
        if self.learner:
            path = _path_of(self.learner)
            with alone_with(path):
                if self.is_kept and not Path(path).exists():
                    raise ForgottenLearner(f"All that belonged to {self.learner} was deleted, in another tab perhaps.")
                kept = notebook_of(self.learner)
                change(kept)
                kept._write()
            self.answers, self.begun, self.places, self.is_kept = kept.answers, kept.begun, kept.places, True

    @property
    def is_forgotten(self) -> bool:
        """Whether it was in the home and is there no more: somebody has deleted all that belonged to the name."""
        return self.is_kept and not Path(_path_of(self.learner)).exists()

    def _write(self) -> None:
        content = {"learner": self.learner, "answers": self.answers, "begun": self.begun, "places": self.places}
        with writing_to_home(), replacing(_path_of(self.learner)) as unfinished:
            unfinished.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        self.is_kept = True


def take_name(name: str, so_far: Notebook, *, is_new: bool) -> Notebook:
    """Return the notebook of a name, with what was answered before the name was said.

    Parameters
    ----------
    so_far
        What has no name yet; a step that the name has answered keeps that answer.
    is_new
        Whether nobody may have had the name.

    Raises
    ------
    KnownLearner
        If somebody has had it.
    InvalidLearner
        If it is no name.
    DamagedNotebook
        If its notebook cannot be read.
    HomeError
        If the home cannot be written.
    """
    name = checked_learner(name)
    path = _path_of(name)
    with alone_with(path):
        if is_new and Path(path).exists():
            raise KnownLearner(f"Somebody called {name} has been here.")
        book = notebook_of(name)
        if not so_far.learner:
            for lesson, begun in so_far.begun.items():
                book.begun.setdefault(lesson, begun)
                book.places.setdefault(lesson, so_far.places.get(lesson, 0))
                book.answers[lesson] = so_far.answers.get(lesson, {}) | book.answers.get(lesson, {})
        book._write()
    return book


def is_known(name: str) -> bool:
    """Return whether somebody of that name has been here.

    Raises
    ------
    InvalidLearner
        If it is no name.
    """
    return Path(_path_of(checked_learner(name))).exists()


def notebook_of(name: str) -> Notebook:
    """Return the notebook of a learner; an empty one where he has none yet.

    Raises
    ------
    InvalidLearner
        If it is no name.
    DamagedNotebook
        If it cannot be read.
    """
    name = checked_learner(name)
    try:
        return _notebook_in(_path_of(name))
    except FileNotFoundError:
        return Notebook(name)
    except _UNREADABLE as error:
        raise DamagedNotebook(
            f"The answers of {name} cannot be read: {_path_of(name)}. Put the file back from a copy, or remove it."
        ) from error


def all_notebooks() -> list[Notebook]:
    """Return the notebooks of all who have a name, by their names; those that cannot be read are left out."""
    found = []
    for name in listing(learners_folder()):
        if name.endswith(".json"):
            with suppress(*_UNREADABLE):
                found.append(_notebook_in(learners_folder() / name))
    return sorted(found, key=lambda book: book.learner.casefold())


def forget(name: str) -> None:
    """Delete what was answered under a name.

    Raises
    ------
    HomeError
        If the home cannot be written.
    """
    path = _path_of(name)
    with alone_with(path), writing_to_home():
        path.unlink(missing_ok=True)


_UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    InvalidLearner,
)


def _notebook_in(path: Path) -> Notebook:
    content = json.loads(path.read_text(encoding="utf-8"))
    return Notebook(
        checked_learner(str(content["learner"])),
        _texts(content["answers"]),
        {str(lesson): _time(when) for lesson, when in content["begun"].items()},
        _places(content["places"]),
        is_kept=True,
    )


def _time(written: str) -> str:
    if datetime.fromisoformat(written).tzinfo is None:
        raise ValueError("A time has a zone.")
    return written


def _texts(answers: Any) -> dict[str, dict[str, str]]:
    return {str(lesson): {str(step): str(said) for step, said in of.items()} for lesson, of in answers.items()}


def _places(places: Any) -> dict[str, int]:
    return {str(lesson): max(0, int(step)) for lesson, step in places.items()}


def _path_of(name: str) -> Path:
    return learner_path(name, ".json")
