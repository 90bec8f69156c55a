"""What a learner has answered, kept in the home under his name, or for as long as his tab is open if he gave none."""

import json
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from cnnlab.errors import LabError
from cnnlab.runs.names import as_line
from cnnlab.storage.files import replacing
from cnnlab.storage.home import home, writing_to_home

LONGEST_NAME, LONGEST_SENTENCE = 40, 2_000


class InvalidLearner(LabError):
    """A name is none that a learner can have."""


class DamagedNotebook(LabError):
    """A learner's answers cannot be read."""


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
    """

    learner: str = ""
    answers: dict[str, dict[str, str]] = field(default_factory=dict)
    begun: dict[str, str] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)

    def answer(self, lesson: str, step: int) -> str | None:
        """Return what was answered in a step of a lesson, or None."""
        return self.answers.get(lesson, {}).get(str(step))

    def take(self, lesson: str, step: int, answer: str) -> None:
        """Keep what was answered in a step of a lesson."""
        self.answers.setdefault(lesson, {})[str(step)] = answer[:LONGEST_SENTENCE]
        self.keep()

    def turn_to(self, lesson: str, step: int) -> None:
        """Remember the step that is looked at."""
        if self.places.get(lesson) != step:
            self.places[lesson] = step
            self.keep()

    def begin(self, lesson: str, now: str, *, again: bool = False) -> None:
        """Begin a lesson, if it was not begun before or is to be begun again; then its answers are forgotten."""
        if again or lesson not in self.begun:
            self.begun[lesson] = now
            self.answers.pop(lesson, None)
            self.places[lesson] = 0
            self.keep()

    def keep(self) -> None:
        """Write it into the home, if it has a learner's name."""
        if not self.learner:
            return
        content = {"learner": self.learner, "answers": self.answers, "begun": self.begun, "places": self.places}
        path = _path_of(self.learner)
        with writing_to_home():
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as unfinished:
                unfinished.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def checked_learner(name: str) -> str:
    """Return a learner's name as it is kept: in one line, without spaces around it.

    Raises
    ------
    InvalidLearner
        If it is empty or too long.
    """
    name = as_line(name).strip()
    if not 1 <= len(name) <= LONGEST_NAME:
        raise InvalidLearner(f"A name has 1 to {LONGEST_NAME} letters; this one has {len(name)}.")
    return name


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
        content = json.loads(_path_of(name).read_text(encoding="utf-8"))
        return Notebook(name, _texts(content["answers"]), dict(content["begun"]), _places(content["places"]))
    except FileNotFoundError:
        return Notebook(name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedNotebook(
            f"The answers of {name} cannot be read: {_path_of(name)}. Put the file back from a copy, or remove it."
        ) from error


def forget(name: str) -> None:
    """Delete what is kept under a name."""
    with writing_to_home():
        _path_of(name).unlink(missing_ok=True)


def _texts(answers: Any) -> dict[str, dict[str, str]]:
    return {str(lesson): {str(step): str(said) for step, said in of.items()} for lesson, of in answers.items()}


def _places(places: Any) -> dict[str, int]:
    return {str(lesson): max(0, int(step)) for lesson, step in places.items()}


def _path_of(name: str) -> Path:
    """Return the file of a learner: people's names are no names for files."""
    return home() / "learners" / f"{sha256(name.casefold().encode()).hexdigest()[:32]}.json"
