"""Where the parts of Draw stand: a grid, and on a narrow page one below the other.

A stroke sends anew what its part of the page holds, and each element costs the server time: with a class that draws,
most of it. So the tools and the diagram, which no stroke changes, are not of that part, though they stand amid it.
"""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

_STYLE = """
<style>
.st-key-draw { container-type: inline-size; }
.st-key-draw_row { display: grid; gap: 1rem;
  grid: "canvas answers" auto "tools answers" 1fr "diagram diagram" auto "inside inside" auto / auto minmax(0, 1fr); }
@container (max-width: 43rem) {
  .st-key-draw_row {
    grid: "canvas" auto "tools" auto "answers" auto "diagram" auto "inside" auto / minmax(0, 1fr); }
}
/* The part that a stroke sends anew has a container: what it holds stands in the grid as if that were not there. */
.st-key-draw_row div:has(> div > .st-key-draw_canvas), .st-key-draw_row div:has(> div > div > .st-key-draw_canvas) {
  display: contents; }
div:has(> .st-key-draw_canvas) { grid-area: canvas; }
div:has(> .st-key-draw_tools) { grid-area: tools; }
div:has(> .st-key-draw_answers) { grid-area: answers; }
div:has(> .st-key-network_diagram) { grid-area: diagram; }
div:has(> .st-key-draw_inside) { grid-area: inside; }
</style>
"""


def draw_row() -> DeltaGenerator:
    """Return the grid, whose places have the keys of the style above."""
    st.html(_STYLE)
    return st.container(key="draw").container(key="draw_row")
