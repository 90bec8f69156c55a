"""People's names, and where the home keeps what is theirs alone."""

import json
import re
import unicodedata
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from cnnlab.errors import LabError
from cnnlab.storage.home import home, writing_to_home
from cnnlab.storage.locks import exclusive_lock
from cnnlab.wording import as_line

LONGEST_LEARNER = 40


class InvalidLearner(LabError):
    """A name is none that a learner can have."""


def checked_learner(name: str) -> str:
    """Return a learner's name as it is kept: in one line, with one space between its words.

    Raises
    ------
    InvalidLearner
        If it is empty or too long.
    """
    name = unicodedata.normalize("NFC", " ".join(_UNSEEN.sub("", as_line(name)).split()))
    if not 1 <= len(name) <= LONGEST_LEARNER:
        raise InvalidLearner(f"A name has 1 to {LONGEST_LEARNER} letters; this one has {len(name)}.")
    return name


# Signs that join or vary others: two names that differ in them alone look the same.
_UNSEEN = re.compile("[\u200d\ufe00-\ufe0f]")


def is_same_learner(one: str | None, other: str | None) -> bool:
    """Return whether two names are one person's, however they are written; None is nobody's."""
    return one is not None and other is not None and one.casefold() == other.casefold()


def maker_told_in(path: Path) -> str | None:
    """Return who made what a JSON file holds, also one that is damaged or newer; None where it does not say."""
    with suppress(OSError, ValueError):
        if told := _MAKER.search(path.read_text(encoding="utf-8", errors="replace")):
            return str(json.loads(told[1]))
    return None


_MAKER = re.compile(r'"made_by": *("(?:[^"\\]|\\.)*")')  # within a text, the first quotation mark would be escaped


def learners_folder() -> Path:
    return home() / "learners"


def learner_path(name: str, ending: str) -> Path:
    """Return the path of a file that is a learner's alone: people's names are no names for files."""
    return learners_folder() / f"{sha256(name.casefold().encode()).hexdigest()[:32]}{ending}"


@contextmanager
def alone_with(path: Path) -> Iterator[None]:
    """Keep other tabs, and other servers with the same home, from writing a file; make its folder if there is none.

    Raises
    ------
    HomeError
        If the home cannot be written.
    """
    # One lock for all learners: one each would outlive them, with their names' sums.
    lock = learners_folder().with_suffix(".lock") if path.parent == learners_folder() else path.with_suffix(".lock")
    with ExitStack() as until_the_end:
        with writing_to_home():
            path.parent.mkdir(parents=True, exist_ok=True)
            until_the_end.enter_context(exclusive_lock(lock))
        yield
