"""The tutorial's network in its two ways, row by row, each in full, and what a list cannot say."""

import streamlit as st

from cnnlab.charts.network import network_graph
from cnnlab.errors import LabError
from cnnlab.models.alignment import aligned_rows, source_diff
from cnnlab.models.definitions import DEFINITIONS, Definition
from cnnlab.models.layers import Layer, layers_of_definition
from cnnlab.ui.frame.torch_thread import ask
from cnnlab.ui.frame.wording import as_text
from cnnlab.ui.train.recipe_form import choose_network
from cnnlab.ui.write.costs import costs_table
from cnnlab.wording import percent, shape_text

_SEQUENTIAL, _MODULE, _RESIDUAL = (DEFINITIONS[name] for name in ("sequential", "module", "residual"))
# On a phone, the lines of the rows fit in without scrolling.
_STYLE = """
<style>
@media (max-width: 640px) { [class*="st-key-row_"] code { font-size: .68rem; } }
</style>
"""


def tutorials_two() -> None:
    """Show the tutorial's two sources side by side, and each of the lab's own in full."""
    st.html(_STYLE)
    st.write(
        "Each row does the same on both sides. Above it: the shape of what goes in and of what comes out, as "
        "channels × height × width."
    )
    _sources_in_rows(_SEQUENTIAL, _MODULE)
    shown = st.segmented_control(
        "Definition",
        list(DEFINITIONS),
        format_func=lambda name: DEFINITIONS[name].title,
        default=_SEQUENTIAL.name,
        required=True,
        label_visibility="collapsed",
        key="definition_shown",
        persist_state="session",
    )
    _in_full(DEFINITIONS[shown])


def what_a_list_cannot_say() -> None:
    """Show what the residual network has more than the tutorial's class, and why no list has a place for it."""
    diff_column, graph_column = st.columns([2, 1], gap="large")
    plain, residual = ask(layers_of_definition, _MODULE), ask(layers_of_definition, _RESIDUAL)
    with diff_column:
        st.write(
            "In an `nn.Sequential`, each layer takes what the layer before it gives, and nothing else. This network "
            "uses one result twice: it goes into a further convolution, and it goes round it; then the two are added. "
            "A list has no place for the way round. A forward method says it in one line."
        )
        st.code(source_diff(_MODULE.source, _RESIDUAL.source), language="diff")
        more = _parameters_of(residual) / _parameters_of(plain) - 1
        st.write(
            f"It has {_parameters_of(residual):,} parameters, {percent(more)} more than the {_parameters_of(plain):,} "
            "of the other two, and trains like them."
        )
        if st.button("Train it", icon=":material/model_training:"):
            choose_network(_RESIDUAL.name)
            st.switch_page("pages/train.py")
    graph_column.graphviz_chart(network_graph(residual), alt="The residual network as a graph")


def _sources_in_rows(first: Definition, second: Definition) -> None:
    """Show two sources side by side, row by row in line; plainly, if their rows cannot be told."""
    for column, definition in zip(st.columns(2), (first, second), strict=True):
        column.subheader(definition.title, anchor=False)
        column.caption(definition.description)
    try:
        rows = ask(aligned_rows, first, second)
    except LabError as error:
        st.info(as_text(str(error)))
        for column, definition in zip(st.columns(2), (first, second), strict=True):
            column.code(definition.source)
        return
    for number, row in enumerate(rows):
        with st.container(gap="xsmall", key=f"row_{number}"):
            st.caption(f"{shape_text(row.input_shape)} → {shape_text(row.output_shape)}")
            for column, code in zip(st.columns(2), (row.first, row.second), strict=True):
                column.code(code, height="stretch")


def _in_full(definition: Definition) -> None:
    """Show a definition's source, its layers as a table, and its graph."""
    st.caption(definition.description)
    source_and_table, graph = st.columns([2, 1], gap="large")
    with source_and_table:
        st.code(definition.source)
    try:
        layers = ask(layers_of_definition, definition)
    except LabError as error:
        source_and_table.info(as_text(str(error)))
        return
    with source_and_table:
        _layers_table(layers)
    graph.graphviz_chart(network_graph(layers), alt=f"The layers of {definition.title} as a graph")


def _layers_table(layers: tuple[Layer, ...]) -> None:
    """Show a row for each layer, and the totals."""
    rows = [
        (layer.name, layer.kind, shape_text(layer.output_shape), layer.parameters, layer.multiply_adds)
        for layer in layers
    ]
    rows.append(("**Total**", "", "", _parameters_of(layers), sum(layer.multiply_adds for layer in layers)))
    columns = ("Name", "Kind", "Output shape", "Parameters", "Multiply-adds")
    costs_table([dict(zip(columns, row, strict=True)) for row in rows])


def _parameters_of(layers: tuple[Layer, ...]) -> int:
    return sum(layer.parameters for layer in layers)
