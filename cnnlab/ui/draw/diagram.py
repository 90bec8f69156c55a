"""The network that is looked into, as a diagram that moves with the pen."""

from pathlib import Path

import streamlit as st

import cnnlab.engine
from cnnlab.runs.run import Run

_HTML = '<div class="scrolls"><canvas role="img" aria-label="The network"></canvas></div><pre></pre>'
_CSS = """
.scrolls { overflow-x: auto; }
canvas { color: var(--st-text-color); display: block; touch-action: pan-x pan-y; cursor: crosshair; }
pre { color: var(--st-text-color); font-size: .78rem; line-height: 1.35; min-height: 7.2rem; margin: .4rem 0 0;
  overflow-x: auto; }
"""
_component = st.components.v2.component(
    "cnnlab_diagram",
    html=_HTML,
    css=_CSS,
    js=(Path(cnnlab.engine.__file__).parent / "diagram.js").read_text(encoding="utf-8"),
)


def network_diagram(run: Run) -> None:
    """Show a run's network, through which `cnnlab.ui.draw.pen` lets the drawing pass."""
    with st.container(key="network_diagram"):
        _component(key="diagram", data={"run": run.id}, height="content")
