"""The network that is looked into, as a diagram that moves with the pen."""

import streamlit as st

from cnnlab.engine.scripts import joined

_HTML = """
<div class="scrolls"><canvas role="img" tabindex="0" aria-label="The network"></canvas></div>
<div class="told"></div>
"""
_CSS = """
.scrolls { overflow-x: auto; }
canvas { color: var(--st-text-color); display: block; touch-action: pan-x pan-y; cursor: crosshair; }
canvas:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: -2px; }
.told { color: var(--st-text-color); font: .8rem/1.35 var(--st-font); min-height: 9rem;
  max-width: 68rem; padding-top: .4rem; overflow-x: auto; }
.head { font-weight: 600; }
.terms, .next, .product { display: flex; align-items: center; gap: .45rem; white-space: nowrap; }
.terms { gap: .5rem 1.1rem; padding: .3rem 0; }
.next { min-height: 2.5rem; }
figure { margin: 0; }
figcaption { opacity: .75; font-size: .72rem; padding-top: .15rem; }
.grid { display: inline-grid; gap: 1px; }
.grid i { font-style: normal; font-size: .7rem; min-width: 2.35rem; padding: .1rem .15rem; text-align: right;
  font-variant-numeric: tabular-nums; outline: 1px solid rgba(128, 136, 152, .35); box-sizing: border-box; }
.grid.tight i { font-size: .6rem; min-width: 2rem; padding: 0 .1rem; line-height: 1.3; }
.grid.small i { min-width: .5rem; width: .5rem; height: .5rem; padding: 0; }
.grid i.marked { outline: 2px solid rgb(232, 131, 58); position: relative; }
.products { display: grid; grid-template-columns: repeat(2, auto); gap: .1rem 1.4rem; }
.products, .steps { font-variant-numeric: tabular-nums; }
"""
_component = st.components.v2.component(
    "cnnlab_diagram",
    html=_HTML,
    css=_CSS,
    js=joined("diagram/trace", "diagram/layout", "diagram/sum", "diagram/diagram"),
)


def network_diagram(name: str) -> None:
    """Show a network through which an image passes; another component of the page tells of it, by this name."""
    with st.container(key="network_diagram"):
        _component(key="diagram", data={"run": name}, height="content")
