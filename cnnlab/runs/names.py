"""What people say of a run: what they call it, a note on it, and a star. None of it is part of what was trained."""

from collections.abc import Set
from contextlib import suppress
from itertools import chain, count
from pathlib import Path

from cnnlab.errors import LabError
from cnnlab.runs.folder import REFERENCE_RUNS, RunFolder
from cnnlab.storage.files import replacing
from cnnlab.wording import as_line

MAX_NAME_LENGTH = 80
MAX_NOTE_LENGTH = 160


class InvalidName(LabError):
    """A run cannot be called this."""


class InvalidNote(LabError):
    """This cannot be noted of a run."""


class ShippedRun(LabError):
    """A run ships with the lab, which can be read and not changed."""


def checked_name(name: str) -> str:
    """Return a name for a run, without the space around it.

    Raises
    ------
    InvalidName
        If nothing is left, it is too long, or it has a character that cannot be shown.
    """
    name = name.strip()
    if not 1 <= len(name) <= MAX_NAME_LENGTH or as_line(name) != name:
        raise InvalidName(
            f"A run's name is one line of 1 to {MAX_NAME_LENGTH} characters that can be printed; this one has "
            f"{len(name):,}, or one that cannot be."
        )
    return name


def checked_note(note: str) -> str:
    """Return a note on a run, without the space around it; it may be empty.

    Raises
    ------
    InvalidNote
        If it is too long, or has a character that cannot be shown.
    """
    note = note.strip()
    if len(note) > MAX_NOTE_LENGTH or as_line(note) != note:
        raise InvalidNote(
            f"A note on a run is one line of up to {MAX_NOTE_LENGTH} characters that can be printed; this one has "
            f"{len(note):,}, or one that cannot be."
        )
    return note


def name_not_taken(name: str, taken: Set[str]) -> str:
    """Return what a run from elsewhere is called: its own name, or, where another run has it, one that says so."""
    endings = chain(("", " (imported)"), (f" (imported {number})" for number in count(2)))
    return next(
        free for ending in endings if (free := name[: MAX_NAME_LENGTH - len(ending)].rstrip() + ending) not in taken
    )


class NamedFolder(RunFolder):
    """A run's folder, with what people say of the run."""

    @property
    def is_reference(self) -> bool:
        """Whether the run ships with the lab, which can be read and not changed."""
        return self.folder.parent == REFERENCE_RUNS

    @property
    def name(self) -> str:
        """What people call the run."""
        with self.existing():
            return _line_in(self.name_path, MAX_NAME_LENGTH) or self.id

    def rename(self, name: str) -> None:
        """Give the run another name.

        Raises
        ------
        InvalidName
            If it is empty or too long.
        ShippedRun
            If it ships with the lab.
        """
        self._say(self.name_path, checked_name(name))

    @property
    def note(self) -> str:
        """What a person noted of the run; empty where nobody did."""
        with suppress(OSError):
            return _line_in(self.note_path, MAX_NOTE_LENGTH)
        return ""

    def take_note(self, note: str) -> None:
        """Note something of the run, in place of the note before; an empty one leaves none.

        Raises
        ------
        InvalidNote
            If it is too long, or cannot be shown.
        ShippedRun
            If it ships with the lab.
        """
        self._say(self.note_path, checked_note(note))

    @property
    def is_starred(self) -> bool:
        """Whether a person has given the run a star."""
        return self.star_path.exists()

    def star(self, is_starred: bool) -> None:
        """Give the run a star, or take it away.

        Raises
        ------
        ShippedRun
            If it ships with the lab.
        """
        self._say(self.star_path, "*" if is_starred else "")

    def _say(self, path: Path, text: str) -> None:
        if self.is_reference:
            raise ShippedRun(f"{self.name} ships with the lab: its name stays, and it takes no note and no star.")
        with self.changing():
            if not text:
                path.unlink(missing_ok=True)
                return
            with replacing(path) as unfinished:
                unfinished.write_text(text, encoding="utf-8")


def _line_in(path: Path, longest: int) -> str:
    """Return the text that a file holds as one line: somebody may have written it by hand."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return as_line(file.read(longest)).strip()
