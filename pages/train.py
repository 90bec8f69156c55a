"""Choose a network and a recipe, start, and watch the losses arrive."""

from cnnlab.workers.child import start_first_worker

start_first_worker()  # before what takes a while to import

import streamlit as st

from cnnlab.conclusions.defaults import runs_of_sweeps
from cnnlab.errors import LabError
from cnnlab.runs.folder import NoSuchRun, UnreadableRun
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import all_runs, create_run, find_run, reference_runs
from cnnlab.training.recipe import InvalidConfig
from cnnlab.ui.frame.actions import attempt, show_error
from cnnlab.ui.frame.page import begin_page, scroll_to_on_a_phone
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.wording import as_text
from cnnlab.ui.learners.who import learner
from cnnlab.ui.learners.whose import listed
from cnnlab.ui.lessons.panel import lesson_panel
from cnnlab.ui.train.recipe_form import chosen_recipe, chosen_snapshots, recipe_and_network, recipe_fields
from cnnlab.ui.train.shelf import shelf_popover
from cnnlab.ui.train.speed import why_it_is_fast
from cnnlab.ui.train.unreadable import unreadable_run_view
from cnnlab.ui.train.view import run_view
from cnnlab.workers.scheduler import scheduler


def chosen_run() -> Run | None:
    """Return the run that the address bar names; without one, the run last looked at, or the newest of no sweep."""
    run_id = st.query_params.get("run")
    if run_id is None:
        run_id = st.session_state.get(Key.LAST_RUN)
        runs, of_sweeps = listed(all_runs()) or reference_runs(), runs_of_sweeps()
        if run_id not in {run.id for run in runs}:
            run_id = next((run.id for run in runs if run.id not in of_sweeps), runs[0].id if runs else None)
    return find_run(run_id) if run_id else None


def start() -> None:
    """Queue a new run, and turn to it; a recipe that is not allowed is refused beside its fields."""
    try:
        definition, config = chosen_recipe()
    except InvalidConfig:
        return
    run = create_run(definition, config, snapshots=chosen_snapshots(), made_by=learner())
    scheduler().start(run)
    st.query_params["run"] = run.id
    st.session_state[Key.JUST_STARTED] = True


def start_or_stop(run: Run | None, is_active: bool) -> None:
    """Show the button that starts a run and, while it waits or trains, stops it."""
    with st.container(horizontal=True, key="start_or_stop"):
        if run and is_active:
            st.button(
                "Stopping" if run.stop_requested else "Stop",
                type="primary",
                icon=":material/stop:",
                on_click=attempt,
                args=(scheduler().stop, run),
                disabled=run.stop_requested,
                help="The weights and a checkpoint are kept.",
            )
            st.button(
                "Start another",
                icon=":material/add:",
                on_click=attempt,
                args=(start,),
                help="It waits until there is room beside the runs that train.",
            )
        else:
            st.button("Start training", type="primary", icon=":material/play_arrow:", on_click=attempt, args=(start,))


begin_page("Train")
lesson_panel("train")
run, error = None, None
try:
    run = chosen_run()
    is_active = run is not None and run.status.is_active
except LabError as refusal:
    error, is_active = refusal, False

recipe_column, run_column = st.columns([1, 2.6], gap="medium")
with recipe_column:
    folded = "folded_" if is_active else ""
    with st.container(key=f"{folded}recipe"):
        recipe_and_network()
    start_or_stop(run, is_active)
    show_error()
    with st.container(key=f"{folded}fields"):
        recipe_fields()

with run_column:
    shelf_popover(run)
    if isinstance(error, UnreadableRun):
        unreadable_run_view(error)
    elif error:
        st.error(as_text(str(error)))
    if run:
        st.query_params["run"] = st.session_state[Key.LAST_RUN] = run.id
        try:
            run_view(run)
        except NoSuchRun:  # deleted from another tab just now
            st.rerun()
why_it_is_fast()
if st.session_state.pop(Key.JUST_STARTED, False):
    scroll_to_on_a_phone("start_or_stop")
