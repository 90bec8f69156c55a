"""Numbers and names as the pages write them."""

import re
from datetime import UTC, datetime

import pandas as pd

from cnnlab.runs.names import as_line

_FORMULA_SIGNS = ("=", "+", "-", "@")
# What is taken for a code (:smile:), an address (www.example.com) or an arrow (->) even where it is escaped. A sign
# that takes no room and is not seen parts it.
_PARTED = re.compile(r"([:@](?=[\w+/-])|www(?=\.)|[-<>~](?=[-=>]))", re.IGNORECASE)
# Marks that Markdown, or Streamlit's additions to it (icons, colours, formulas), would take for its own.
_MARKS = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&])")


def as_text(name: str) -> str:
    """Return a name for a place where Markdown is read, so that it is shown letter by letter."""
    return _MARKS.sub(r"\\\1", _PARTED.sub("\\1\u2060", as_line(name)))


def csv_of(table: pd.DataFrame) -> str:
    """Return a table as CSV. Text that a spreadsheet would take for a formula gets a ' before it."""
    defused = table.map(lambda cell: f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_SIGNS) else cell)
    return defused.to_csv(index=False)


def percent(share: float) -> str:
    """Return a share from 0 to 1 as a percentage with two decimals."""
    return f"{share:.2%}".replace("%", " %")


def duration(seconds: float) -> str:
    """Return a length of time: 8 s, 1 min 5 s, 2 h 3 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def ago(moment: datetime) -> str:
    """Return how long ago a moment was, roughly."""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    for unit, length in (("day", 86_400), ("hour", 3_600), ("min", 60)):
        if seconds >= length:
            count = int(seconds // length)
            plural = "s" if count > 1 and unit != "min" else ""
            return f"{count} {unit}{plural} ago"
    return "just now"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: 1 run, 2 runs."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
