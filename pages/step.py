"""Take one step of training, and see each of its numbers: the batch, forward, the loss, backward, the update."""

from cnnlab.workers.child import start_first_worker

start_first_worker()  # before what takes a while to import

from dataclasses import replace
from functools import partial

import streamlit as st

from cnnlab.charts.step import losses_until
from cnnlab.errors import LabError
from cnnlab.stepping.forward import loss_in
from cnnlab.stepping.stepper import Step
from cnnlab.training.recipe import InvalidConfig
from cnnlab.ui.frame.page import begin_page
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.tabs import show_tabs
from cnnlab.ui.frame.torch_thread import ask
from cnnlab.ui.frame.wording import as_text
from cnnlab.ui.lessons.panel import lesson_panel
from cnnlab.ui.step.batch import batch_view, forward_view, loss_view
from cnnlab.ui.step.stepping import Position, pace
from cnnlab.ui.step.weight import backward_view, update_view
from cnnlab.ui.train.recipe_form import chosen_recipe, recipe_and_network, recipe_fields
from cnnlab.wording import loss_text


def step_view(paced: float | None) -> None:
    """Show the run, where somebody stands in it, and the stations of the step there.

    Parameters
    ----------
    paced
        The pace at which this is run again.
    """
    if pace() != paced:
        st.rerun()
    told, curve = st.columns([5, 3], gap="medium")
    with told:
        with st.container(horizontal=True, vertical_alignment="bottom", key="stepped_recipe"):
            recipe_and_network()
            with st.popover("Settings", icon=":material/tune:"):
                recipe_fields()
        try:
            definition, config = chosen_recipe()
        except InvalidConfig as error:
            st.error(as_text(str(error)))
            return
        position = Position(definition, replace(config, device="cpu"))
        position.buttons()
        told_below = st.empty()
        try:
            position.go_on(told_below)
            with told_below, st.spinner(position.taking()):  # shown only where it takes long
                step, losses = position.step()
        except LabError as error:
            told_below.error(as_text(str(error)))
            return
        if not position.is_on_the_way:
            told_below.markdown(in_a_line(step))
    with curve:
        chart = losses_until(losses)
        st.vega_lite_chart(chart.points, chart.spec, key="losses_until")
    show_tabs(
        {
            "1 Batch": partial(batch_view, step, position.config),
            "2 Forward": partial(forward_view, step),
            "3 Loss": partial(loss_view, step),
            "4 Backward": partial(backward_view, step),
            "5 Update": partial(update_view, step, position.config),
        },
        key=Key.STEP_PART,
    )


def in_a_line(step: Step) -> str:
    """Say which step it is, and what it did to the loss of its own batch."""
    after = ask(loss_in, step, step.after)
    rose = ", more: the step went too far for it, or another way" if after > step.loss else ""
    return (
        f"**Step {step.number:,}** of {step.steps:,}: the batch's loss is **{loss_text(step.loss)}**, and after the "
        f"step **{loss_text(after)}**{rose}; the next step has another batch · epoch {step.epoch}, batch "
        f"{step.batch:,} of {step.batches:,} · learning rate {step.learning_rate:g}"
    )


begin_page("Step")
lesson_panel("step")
paced = pace()
st.fragment(partial(step_view, paced), run_every=paced)()
