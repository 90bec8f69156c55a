"""The frame that every page stands in."""

import streamlit as st

_PAGES = (
    ("app.py", "Home", ":material/home:"),
    ("pages/train.py", "Train", ":material/model_training:"),
)

# Lines of text stay short on a wide screen, and the fields of the recipe stand in rows of four, or of two on a phone.
_STYLE = """
<style>
.stMainBlockContainer { max-width: 76rem; margin-inline: auto; }
.st-key-navigation { border-bottom: 1px solid rgba(128, 136, 152, .3); padding-bottom: .5rem; }
.st-key-recipe_fields {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(max(7.8rem, 22%), 1fr)); gap: .75rem 1rem;
}
.st-key-recipe_fields > * { width: 100%; }
</style>
"""


def begin_page(title: str) -> None:
    """Set the page up: its title, and the links to the others. Every page calls this first."""
    st.set_page_config(page_title=f"{title} · CNN Lab", page_icon=":material/grid_on:", layout="wide")
    st.html(_STYLE)
    with st.container(horizontal=True, key="navigation", vertical_alignment="center"):
        for path, label, icon in _PAGES:
            st.page_link(path, label=label, icon=icon)
