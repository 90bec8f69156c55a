"""A lesson: steps that are read, predicted, done, explained or asked."""

from dataclasses import dataclass
from enum import StrEnum

from cnnlab.errors import LabError
from cnnlab.lessons.checks import Check

# Of a text that is read, in words: more would be skipped.
MOST_WORDS = 60


class Kind(StrEnum):
    """What a learner does in a step."""

    READ = "Read"
    PREDICT = "Predict"
    DO = "Do"
    EXPLAIN = "Explain"
    ASK = "Ask"


@dataclass(frozen=True)
class Choice:
    """One of the answers that a step offers.

    Attributes
    ----------
    text
        In Markdown.
    is_right
        Whether it is the right one; of a prediction, none need be.
    """

    text: str
    is_right: bool = False


@dataclass(frozen=True)
class Step:
    """One step of a lesson.

    Attributes
    ----------
    kind, title
        What is done in it, and what it is called; the title may be empty.
    text
        What the learner sees at once, in Markdown, with names of figures in braces.
    after
        What he sees once he has answered, or done it.
    choices
        The answers to choose from; of a prediction without any, a number is asked for.
    page
        The page of the lab that it is done on, such as "train"; empty where that does not matter.
    check
        Of `Kind.DO`: how the lab sees that it was done.
    measured
        Of `Kind.PREDICT`: the figure that is predicted.
    fill
        Of `Kind.DO` on Sweep: what its form is filled with, the values of each setting as a person writes them.
    """

    kind: Kind
    title: str
    text: str
    after: str = ""
    choices: tuple[Choice, ...] = ()
    page: str = ""
    check: Check | None = None
    measured: str = ""
    fill: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Lesson:
    """A lesson.

    Attributes
    ----------
    name
        That of its file, without the ending.
    title, about
        What it is called, and what it is about, in a sentence.
    minutes
        How long it takes, about.
    steps
        In their order.
    """

    name: str
    title: str
    about: str
    minutes: int
    steps: tuple[Step, ...]


class UnreadableLesson(LabError):
    """A file is no lesson.

    Attributes
    ----------
    file
        Its name.
    line
        Where in it the mistake is, from 1.
    """

    def __init__(self, file: str, line: int, mistake: str) -> None:
        super().__init__(f"{file}, line {line}: {mistake}")
        self.file = file
        self.line = line
