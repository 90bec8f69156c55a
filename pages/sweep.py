"""Try several values of some settings at once, and see which do best."""

from cnnlab.workers.child import start_first_worker

start_first_worker()  # before what takes a while to import

import streamlit as st

from cnnlab.errors import LabError
from cnnlab.sweeps.plan import Plan
from cnnlab.sweeps.sweep import Sweep, all_sweeps, unreadable_sweeps
from cnnlab.ui.frame.actions import show_error
from cnnlab.ui.frame.page import begin_page
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.wording import as_text
from cnnlab.ui.learners.who import learner
from cnnlab.ui.learners.whose import listed, whose_switch
from cnnlab.ui.lessons.panel import lesson_panel
from cnnlab.ui.sweep.plan_form import MANY_RUNS, cost_line, plan_form
from cnnlab.ui.sweep.results import sweep_view


def start(plan: Plan) -> None:
    st.query_params["sweep"] = Sweep.start(plan, made_by=learner()).id


def show_other() -> None:
    st.query_params["sweep"] = st.session_state[Key.SWEEP_SHOWN]


def start_buttons(plan: Plan | None, shown: Sweep | None) -> None:
    """Show what a plan costs, and start it, or add it to the sweep that is shown, when the person presses a button."""
    if plan is None:
        return
    st.caption(cost_line(plan))
    is_sure = plan.count <= MANY_RUNS or st.checkbox(f"Yes, start {plan.count:,} runs")
    with st.container(horizontal=True):
        wants_start = st.button("Start the sweep", type="primary", icon=":material/play_arrow:", disabled=not is_sure)
        wants_more = (
            shown
            and not (plan.search or shown.search)
            and st.button(
                "Add to the sweep shown",
                icon=":material/add:",
                disabled=not (is_sure and shown.recipes_lacking(plan)),
                help="Trains those of these runs that it does not have yet.",
            )
        )
    if wants_start or wants_more:
        try:
            start(plan) if wants_start else shown.add(plan, learner())
        except LabError as error:
            st.error(as_text(str(error)))
            return
        st.rerun()


begin_page("Sweep")
lesson_panel("sweep")
asked = st.query_params.get("sweep")
everyones = all_sweeps()
own = listed(everyones)
sweeps = {sweep.id: sweep for sweep in everyones if sweep in own or sweep.id == asked}
form_column, result_column = st.columns([2, 3], gap="large")
with form_column:
    start_buttons(plan_form(), sweeps.get(asked, next(iter(sweeps.values()), None)))
    show_error()
    with st.expander("What a sweep tells, and what it does not"):
        st.write(
            "One run answers little. The lab trains a run for each combination of the values above: with several seeds "
            "one sees how far chance alone moves a result, and which setting moves it further. All other settings are "
            "the tutorial's. The test set is what is compared here, so the best of many runs looks a little better "
            "than it is; *Find the best* goes by images that it keeps out of training, and leaves the test set alone."
        )

with result_column:
    whose_switch()
    for unreadable in unreadable_sweeps():
        st.error(as_text(str(unreadable)))
    if not sweeps:
        st.info("No sweep yet. The form holds one of nine runs: three learning rates, each with three seeds.")
        st.stop()
    if asked is not None and asked not in sweeps:
        st.warning("There is no such sweep here. It may belong to another lab's home.")
    chosen = asked if asked in sweeps else next(iter(sweeps))
    st.query_params["sweep"] = st.session_state[Key.SWEEP_SHOWN] = chosen
    if len(sweeps) > 1:
        st.selectbox(
            "Sweep",
            list(sweeps),
            format_func=lambda sweep_id: f"{sweeps[sweep_id].name} · {sweep_id}",
            key=Key.SWEEP_SHOWN,
            on_change=show_other,
            label_visibility="collapsed",
        )
    sweep_view(sweeps[chosen])
