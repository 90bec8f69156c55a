"""Names and tables from users, made safe for Markdown and spreadsheets."""

import re

import pandas as pd

from cnnlab.wording import as_line

_FORMULA_SIGNS = ("=", "+", "-", "@")
# What is taken for a code (:smile:), an address (www.example.com) or an arrow (->) even where it is escaped. A sign
# that takes no room and is not seen parts it.
_PARTED = re.compile(r"([:@](?=[\w+/-])|www(?=\.)|[-<>~](?=[-=>]))", re.IGNORECASE)
# Marks that Markdown, or Streamlit's additions to it (icons, colours, formulas), would take for its own.
_MARKS = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&])")


def as_text(name: str) -> str:
    """Escape a name for Markdown, so that it is shown letter by letter."""
    return _MARKS.sub(r"\\\1", _PARTED.sub("\\1\u2060", as_line(name)))


def in_cell(text: str) -> str:
    """Return a text for a cell of a table on a page, which Streamlit lets people download as CSV.

    A sign that takes no room keeps a spreadsheet from taking it for a formula.
    """
    return f"\u2060{text}" if text.startswith(_FORMULA_SIGNS) else text


def csv_of(table: pd.DataFrame) -> str:
    """Return a table as CSV. Text that a spreadsheet would take for a formula gets a ' before it."""
    defused = table.map(lambda cell: f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_SIGNS) else cell)
    return defused.to_csv(index=False)
