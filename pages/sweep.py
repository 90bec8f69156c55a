"""Try several values of some settings at once, and see which do best."""

import streamlit as st

from cnnlab.errors import LabError
from cnnlab.sweeps import Plan, Sweep, all_sweeps
from cnnlab.ui.page import begin_page
from cnnlab.ui.sweep_view import MANY_RUNS, cost_line, plan_form, sweep_view
from cnnlab.ui.wording import as_text


def start(plan: Plan) -> None:
    st.query_params["sweep"] = Sweep.start(plan).id


def start_button(plan: Plan | None) -> None:
    """Show what a plan costs, and start it when the person presses the button."""
    if plan is None:
        return
    st.caption(cost_line(plan))
    is_sure = plan.count <= MANY_RUNS or st.checkbox(f"Yes, start {plan.count:,} runs")
    if st.button("Start the sweep", type="primary", icon=":material/play_arrow:", disabled=not is_sure):
        try:
            start(plan)
        except LabError as error:
            st.error(as_text(str(error)))


begin_page("Sweep")
st.title("Sweep", anchor=False)
st.write(
    "One run answers little. Choose values for some settings, and the lab trains a run for each combination: with "
    "several seeds one sees how far chance alone moves a result, and which setting moves it further. All others are "
    "the tutorial's. The test set is what is compared here, so the best of many runs looks a little better than it is."
)
start_button(plan_form())

if action_error := st.session_state.pop("run_error", None):
    st.error(as_text(action_error))
sweeps = {sweep.id: sweep for sweep in all_sweeps()}
if not sweeps:
    st.info("No sweep yet. The fields above hold one of nine runs.")
    st.stop()
asked = st.query_params.get("sweep")
if asked is not None and asked not in sweeps:
    st.warning("There is no such sweep here. It may belong to another lab's home.")
chosen = asked if asked in sweeps else next(iter(sweeps))
st.header(as_text(sweeps[chosen].name), anchor=False)
if len(sweeps) > 1:
    chosen = st.selectbox(
        "Sweep",
        list(sweeps),
        list(sweeps).index(chosen),
        format_func=lambda sweep_id: f"{sweeps[sweep_id].name} · {sweep_id}",
    )
st.query_params["sweep"] = chosen
sweep_view(sweeps[chosen])
