"""Choose a definition and a recipe, start, and watch the losses arrive."""

from functools import partial

import streamlit as st

from cnnlab.errors import LabError
from cnnlab.runs.archive import import_run
from cnnlab.runs.folder import NoSuchRun
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import all_runs, create_run, find_run, reference_runs, unreadable_runs
from cnnlab.storage.cores import available_cores
from cnnlab.ui.frame.actions import attempt, show_error
from cnnlab.ui.frame.live import live
from cnnlab.ui.frame.page import begin_page
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.wording import as_text
from cnnlab.ui.train.list import cluster_line, damaged_run_links, run_links
from cnnlab.ui.train.recipe_form import recipe_form
from cnnlab.ui.train.speed import why_it_is_fast
from cnnlab.ui.train.view import run_view
from cnnlab.wording import plural
from cnnlab.workers.scheduler import scheduler
from cnnlab.workers.settings import MAX_PARALLEL_RUNS

RUNS_SHOWN = 12
REFRESH_SECONDS = 1.0


def chosen_run() -> Run | None:
    """Return the run that the address bar names; without one, the run last looked at, or the newest."""
    run_id = st.query_params.get("run")
    if run_id is None:
        run_id = st.session_state.get(Key.LAST_RUN)
        runs = all_runs() or reference_runs()
        if run_id not in {run.id for run in runs}:
            run_id = runs[0].id if runs else None
    return find_run(run_id) if run_id else None


def start(chosen: tuple) -> None:
    """Queue a new run and turn to it."""
    run = create_run(*chosen)
    scheduler().start(run)
    st.query_params["run"] = run.id


def parallel_runs_input() -> None:
    def keep() -> None:
        attempt(setattr, scheduler(), "parallel_runs", st.session_state[Key.PARALLEL_RUNS] or None)

    st.session_state[Key.PARALLEL_RUNS] = scheduler().parallel_runs or 0
    st.selectbox(
        "Runs at once",
        range(MAX_PARALLEL_RUNS + 1),
        format_func=lambda count: str(count or "As the cores allow"),
        key=Key.PARALLEL_RUNS,
        on_change=keep,
        filter_mode=None,
        help=f"Further runs wait in a queue. This machine has {plural(available_cores(), 'core')}: "
        "runs start together while there is one for each of their threads.",
    )


def import_archive(key: str) -> None:
    """Make a run of the archive that was just uploaded, and turn to it."""
    st.session_state[Key.IMPORT_ERROR] = None
    if (archive := st.session_state.get(key)) is None:  # it was taken out again
        return
    try:
        st.query_params["run"] = import_run(archive.getvalue()).id
        st.session_state[Key.IMPORTS] = st.session_state.get(Key.IMPORTS, 0) + 1  # the next uploader is empty
    except LabError as error:
        st.session_state[Key.IMPORT_ERROR] = str(error)


def import_popover() -> None:
    key = f"archive_{st.session_state.get(Key.IMPORTS, 0)}"
    with st.popover("Import a run", icon=":material/upload:"):
        st.file_uploader(
            "An archive, downloaded from a lab as *Run (zip)*", "zip", key=key, on_change=import_archive, args=(key,)
        )
        if import_error := st.session_state.get(Key.IMPORT_ERROR):
            st.error(as_text(import_error))


def list_of_runs(chosen: Run | None) -> None:
    cluster_line()
    damaged_run_links(unreadable_runs())
    runs = all_runs()
    shown = st.session_state.get(Key.RUNS_SHOWN, RUNS_SHOWN)
    run_links(runs[:shown], chosen)
    if len(runs) > shown:
        st.button("Older runs", on_click=lambda: st.session_state.update({Key.RUNS_SHOWN: shown + RUNS_SHOWN}))
    else:
        run_links(reference_runs(), chosen)


begin_page("Train")
st.title("Train", anchor=False)
st.write(
    "Choose how the network is written and how it is trained, and press Start. The fields hold the tutorial's recipe: "
    "with it, the losses should come out close to the dotted line."
)

if chosen := recipe_form():
    try:
        start(chosen)
    except LabError as error:
        st.error(as_text(str(error)))
why_it_is_fast()

st.space("small")
show_error()

run_column, list_column = st.columns([3, 1], gap="large")
run, status = None, None
try:
    if run := chosen_run():
        status = run.status
except LabError as error:
    run_column.error(as_text(str(error)))

with list_column:
    st.subheader("Runs", anchor=False)
    live(
        partial(list_of_runs, run),
        shown=status,
        now=lambda: run and run.status,
        seconds=REFRESH_SECONDS,
        address={"run": run.id} if run else {},
    )
    parallel_runs_input()
    import_popover()

if run:
    st.query_params["run"] = st.session_state[Key.LAST_RUN] = run.id
    try:
        with run_column:
            run_view(run)
    except NoSuchRun:  # deleted from another tab just now
        st.rerun()
