"""Read how the networks are written, see what they are made of, and why the two definitions are one network."""

from functools import partial

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler

from cnnlab.charts.network import equivalence_chart, network_graph
from cnnlab.errors import LabError
from cnnlab.models.alignment import aligned_rows, source_diff
from cnnlab.models.definitions import DEFINITIONS, Definition
from cnnlab.models.layers import Layer, layers_of_definition, shape_text
from cnnlab.proof.equivalence import (
    DECLARED_BACKWARDS,
    SEED,
    STEPS,
    CarriedOver,
    Finding,
    Finished,
    TrainedBoth,
    sentence_of,
)
from cnnlab.proof.process import Progress, Proof
from cnnlab.ui.frame.live import live
from cnnlab.ui.frame.page import begin_page
from cnnlab.ui.frame.torch_thread import ask
from cnnlab.ui.frame.wording import as_text
from cnnlab.wording import percent

SEQUENTIAL, MODULE, RESIDUAL = (DEFINITIONS[name] for name in ("sequential", "module", "residual"))
PROOF_REFRESH_SECONDS = 0.5

# The places of the findings are as high from the start as the sentences need, so that nothing moves when they come.
# On a phone, the lines of the rows fit in without scrolling.
STYLE = """
<style>
.st-key-finding_1, .st-key-finding_2 { min-height: 14rem; }
.st-key-finding_3 { min-height: 19rem; }
@media (min-width: 641px) and (max-width: 1100px) { [class*="st-key-finding_"] { min-height: 28rem; } }
@media (max-width: 640px) { [class*="st-key-row_"] code { font-size: .68rem; } }
</style>
"""


def sources_in_rows(first: Definition, second: Definition) -> None:
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


def definition_in_full(definition: Definition) -> None:
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
        st.table(layer_table(layers), hide_index=True)
        st.caption(
            "Parameters are the numbers that training changes. A multiply-add is one multiplication with its addition; "
            "counted are those for one image."
        )
    graph.graphviz_chart(network_graph(layers), alt=f"The layers of {definition.title} as a graph")


def layer_table(layers: tuple[Layer, ...]) -> Styler:
    """Return a row for each layer, and the totals."""
    rows = [
        (layer.name, layer.kind, shape_text(layer.output_shape), layer.parameters, layer.multiply_adds)
        for layer in layers
    ]
    rows.append(("**Total**", "", "", parameters_of(layers), sum(layer.multiply_adds for layer in layers)))
    table = pd.DataFrame(rows, columns=["Name", "Kind", "Output shape", "Parameters", "Multiply-adds"])
    # Formatted, not turned into text: Streamlit puts numbers to the right.
    return table.style.format(lambda count: f"{count:,}" if count else "–", subset=["Parameters", "Multiply-adds"])


def parameters_of(layers: tuple[Layer, ...]) -> int:
    return sum(layer.parameters for layer in layers)


def proof_so_far(proof: Proof) -> None:
    """Show what is found, in places that stay where they are; the proof is started if nobody has."""
    try:
        progress = proof.progress()
        if not progress.has_begun:
            proof.start()
            progress = proof.progress()
    except LabError as error:
        st.error(as_text(str(error)))
        return
    findings = progress.findings
    carried = [each for each in findings if isinstance(each, CarriedOver)]
    trained = [each for each in findings if isinstance(each, TrainedBoth)]
    first, second, third = st.columns(3, border=True)
    with first:
        finding(
            1,
            "Same weights, same answers",
            "The weights of one are carried into the other, matched by the order in which the layers compute. Logits "
            "are the ten numbers that a network answers with.",
            carried,
        )
    with second:
        finding(
            2,
            "Same seed, same losses",
            f"Both draw their first weights from seed {SEED}, and are trained on the same images in the same order.",
            trained[:1],
        )
    with third:
        finding(
            3,
            "Another order, other losses",
            "PyTorch draws random numbers as the layers are declared. Here nn.Module declares the same ones backwards.",
            trained[1:3],
        )
    titles = [SEQUENTIAL.title, MODULE.title, DECLARED_BACKWARDS.title]
    st.altair_chart(equivalence_chart(trained, titles, STEPS), key="equivalence_chart")
    proof_footer(proof, progress)
    with st.expander("Which weight is which"):
        for each in carried:
            st.write("Found from how the two compute, by the place of each layer and the shapes of its weights:")
            st.table(pd.DataFrame(each.names.items(), columns=[each.first, each.second]), hide_index=True)


def finding(number: int, title: str, how: str, findings: list[Finding]) -> None:
    with st.container(key=f"finding_{number}"):
        st.markdown(f"**{title}**")
        st.caption(how)
        st.write("\n\n".join(as_text(sentence_of(each)) for each in findings) or ":gray[Being computed …]")


def proof_footer(proof: Proof, progress: Progress) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        again = st.button("Prove it again", icon=":material/replay:", disabled=not progress.has_ended)
        for last in progress.findings[-1:]:
            if isinstance(last, Finished):
                st.caption(as_text(sentence_of(last)))
    if progress.failure:
        st.error(as_text(str(progress.failure)))
    if again:
        try:
            proof.start()
        except LabError as error:
            st.error(as_text(str(error)))
            return
        st.rerun()


begin_page("Models")
st.html(STYLE)
st.write(
    "One network for handwritten digits, written in the two ways that PyTorch offers: as a list of layers, and as a "
    "class whose forward method says what is computed. A third network does what no list can say."
)

st.header("One network, written twice", anchor=False)
st.write(
    "Each row does the same on both sides. Above it: the shape of what goes in and of what comes out, as "
    "channels × height × width."
)
sources_in_rows(SEQUENTIAL, MODULE)

st.header("Each definition in full", anchor=False)
shown = st.segmented_control(
    "Definition",
    list(DEFINITIONS),
    format_func=lambda name: DEFINITIONS[name].title,
    default=SEQUENTIAL.name,
    required=True,
    label_visibility="collapsed",
    key="definition_shown",
    persist_state="session",
)
definition_in_full(DEFINITIONS[shown])

st.header("What a list cannot say", anchor=False)
diff_column, graph_column = st.columns([2, 1], gap="large")
with diff_column:
    st.write(
        "In an `nn.Sequential`, each layer takes what the layer before it gives, and nothing else. This network uses "
        "one result twice: it goes into a further convolution, and it goes round it; then the two are added. A list "
        "has no place for the way round. A forward method says it in one line."
    )
    st.code(source_diff(MODULE.source, RESIDUAL.source), language="diff")
    plain, residual = ask(layers_of_definition, MODULE), ask(layers_of_definition, RESIDUAL)
    more = parameters_of(residual) / parameters_of(plain) - 1
    st.write(
        f"It has {parameters_of(residual):,} parameters, {percent(more)} more than the {parameters_of(plain):,} of "
        "the other two, and trains like them."
    )
    st.page_link("pages/train.py", label="Train it", icon=":material/model_training:")
graph_column.graphviz_chart(network_graph(residual), alt="The residual network as a graph")

st.header("The proof that the two are one", anchor=False)
st.write(
    "Read side by side, the two look the same. That they are is shown on this machine: it trains both, and compares "
    "the numbers to the last bit."
)
proof = Proof()
has_ended = proof.progress().has_ended
live(
    partial(proof_so_far, proof),
    shown=has_ended,
    now=lambda: proof.progress().has_ended,
    seconds=PROOF_REFRESH_SECONDS,
    is_live=not has_ended,
)
st.write(
    "**Why do the tutorial's two tables differ, then?** After ten epochs they say "
    f"{SEQUENTIAL.tutorial_losses[-1]} for nn.Sequential and {MODULE.tutorial_losses[-1]} for nn.Module. It is the "
    "seed, not the definition: each was trained once, from random first weights of its own, on images in a random "
    "order of its own."
)
