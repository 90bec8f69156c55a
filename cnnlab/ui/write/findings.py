"""What the lab makes of a source: its other form, its mistakes, its lines."""

from contextlib import suppress
from functools import lru_cache
from statistics import median

import streamlit as st

from cnnlab.charts.network import network_graph
from cnnlab.data.mnist import TRAIN_IMAGES, load_test_set
from cnnlab.errors import LabError
from cnnlab.fused.rewrite import count_blocks
from cnnlab.models.layers import layers_of_definition
from cnnlab.models.reading.source import read
from cnnlab.models.reading.understanding import Fix, Mistake, Understood, understand
from cnnlab.models.sources import read_definition
from cnnlab.models.writing import FORMS, CannotBeSequential, in_other_form
from cnnlab.proof.weights import carry_weights
from cnnlab.runs.shelf import all_runs
from cnnlab.training.evaluation import predict_logits
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.torch_thread import ask
from cnnlab.ui.frame.wording import as_text
from cnnlab.ui.write.costs import costs_table
from cnnlab.ui.write.editor import HEIGHT
from cnnlab.ui.write.proof import pair_proof
from cnnlab.wording import duration, plural, shape_text

_NAME = "Your network"
_IMAGES = 1_000
_RUNS_ASKED = 20


def other_form(source: str, understood: Understood) -> None:
    """Show the network in the form that was not typed, and that the two are one; or why there is none."""
    to = "module" if understood.network.form == "sequential" else "sequential"
    st.markdown(f"The same network as {FORMS[to]}", help="Written by the lab, from what it read on the left.")
    if not understood.can_train:
        st.caption("It is written here when what is wrong is mended:")
        return
    try:
        written = in_other_form(understood)
    except CannotBeSequential as error:
        st.info(as_text(f"No nn.Sequential can say this. {error}"))
        return
    with st.container(height=HEIGHT - 28, border=False, key="written"):
        st.code(written)
    difference = ask(_difference, source, written)
    pair_proof(
        source,
        written,
        f"{'The same network' if difference == 0 else 'Not the same network'}: with the same weights, the largest "
        f"difference of their logits over {_IMAGES:,} test images is {difference:g}.",
    )


@lru_cache(maxsize=256)
def _difference(typed: str, written: str) -> float:
    """Return the largest difference of the two forms' logits, from the same weights."""
    one, other = (read_definition(_NAME, source).build(seed=0) for source in (typed, written))
    carry_weights(one, other)
    images = load_test_set()[0][:_IMAGES]
    return (predict_logits(one, images) - predict_logits(other, images)).abs().max().item()


def totals_view(source: str, understood: Understood) -> None:
    """Say what the whole network costs, and how much of it the lab's own kernels compute."""
    served = ""
    if understood.can_train:
        blocks, convolutions = ask(_served, source)
        served = f" · {blocks} of {plural(convolutions, 'convolution')} fused" if convolutions else ""
    seconds = seconds_an_epoch(understood)
    wait = f" · about {duration(max(1, seconds))} an epoch here" if seconds is not None else ""
    st.markdown(
        f"**{understood.parameters:,}** parameters{wait}  \n"
        f"**{understood.multiply_adds:,}** multiply-adds an image{served}",
        help="Fused: the lab's own kernels do a convolution of 3 × 3 or 5 × 5, ReLU and a 2 × 2 max pooling in one "
        "pass, which is faster; PyTorch does the others. The time is that of as many multiply-adds in the newest runs.",
    )


def seconds_an_epoch(understood: Understood) -> float | None:
    """Return about how long an epoch trains, by the multiply-adds a second of the newest runs; None without any."""
    speeds = []
    for run in all_runs()[:_RUNS_ASKED]:
        with suppress(LabError):
            if (epoch := run.last_epoch()) and not run.config.has_pen_digits:
                speeds.append(epoch.images_per_second * understood_of(run.source).multiply_adds)
    return TRAIN_IMAGES * understood.multiply_adds / median(speeds) if speeds else None


@lru_cache(maxsize=256)
def _served(source: str) -> tuple[int, int]:
    return count_blocks(read_definition(_NAME, source).build(seed=0))


def mistakes_view(mistakes: tuple[Mistake, ...], source: str) -> None:
    """Show each mistake with its line, and a button where there is something that mends it."""
    for number, mistake in enumerate(mistakes):
        with st.container(horizontal=True, vertical_alignment="center", key=f"mistake_{number}"):
            told = f"**Line {mistake.line}.** {as_text(mistake.told)}"
            (st.error if mistake.prevents else st.warning)(told, width="stretch")
            if mistake.fix:
                st.button(as_text(mistake.fix.told), key=f"fix_{number}", on_click=_apply, args=(mistake.fix, source))


def _apply(fix: Fix, source: str) -> None:
    if st.session_state[Key.SOURCE] == source:  # else the lines have moved under the button
        st.session_state[Key.SOURCE] = fix.span.replaced_in(source, fix.new)


def lines_view(understood: Understood) -> None:
    """Show each step with its line, its shapes and its cost, and the totals."""
    rows = []
    for step, cost in zip(understood.network.steps, understood.costs, strict=True):
        rows.append(
            {
                "Line": str(step.line),
                "Layer": f"{step.layer}: {step.kind}" if step.layer else step.kind,
                "In": shape_text(cost.before) if cost.before else "?",
                "Out": shape_text(cost.after) if cost.after else "?",
                "Parameters": cost.parameters,
                "Multiply-adds": cost.multiply_adds,
            }
        )
    total = {"Line": "", "Layer": "**Total**", "In": "", "Out": ""}
    rows.append({**total, "Parameters": understood.parameters, "Multiply-adds": understood.multiply_adds})
    costs_table(rows)


def graph_view(source: str, understood: Understood) -> None:
    """Show the network as a graph."""
    if not understood.can_train:
        st.info("The graph is drawn when the mistakes are mended.")
        return
    try:
        layers = ask(layers_of_definition, read_definition(_NAME, source))
    except LabError as error:
        st.info(as_text(str(error)))
        return
    st.graphviz_chart(network_graph(layers), alt="The layers of your network as a graph")


@lru_cache(maxsize=256)
def understood_of(source: str) -> Understood:
    """Return what the lab understands of a source.

    Raises
    ------
    CannotRead
        If it understands nothing of it.
    """
    return understand(read(source))
