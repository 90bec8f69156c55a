"""Parts of a page behind tabs."""

from collections.abc import Callable, Mapping

import streamlit as st


def show_tabs(parts: Mapping[str, Callable[[], object]], key: str) -> None:
    """Show a tab for each part, by its title; only the part of the open one is computed."""
    for tab, show in zip(st.tabs(list(parts), key=key, on_change="rerun"), parts.values(), strict=True):
        if tab.open:
            with tab:
                show()
