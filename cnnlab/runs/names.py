"""What a run can be called."""

from cnnlab.errors import LabError
from cnnlab.wording import as_line

MAX_NAME_LENGTH = 80


class InvalidName(LabError):
    """A run cannot be called this."""


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
