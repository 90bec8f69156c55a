"""What layers cost, as a table."""

from collections.abc import Hashable, Sequence
from typing import Any

import pandas as pd
import streamlit as st

_COUNTS: list[Hashable] = ["Parameters", "Multiply-adds"]


def costs_table(rows: Sequence[dict[str, Any]]) -> None:
    """Show a table whose last columns are Parameters and Multiply-adds, and below it what these are."""
    # Formatted, not turned into text: Streamlit puts numbers to the right.
    table = pd.DataFrame(rows).style.format(lambda count: f"{count:,}" if count else "–", subset=_COUNTS)
    st.table(table, hide_index=True)
    st.caption(
        "Parameters are the numbers that training changes. A multiply-add is one multiplication with its addition; "
        "counted are those for one image."
    )
