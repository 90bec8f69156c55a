"""All runs, folded: a list with a search, an archive to import, and how many train at once."""

from functools import partial

import streamlit as st

from cnnlab.errors import LabError
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import all_runs, reference_runs, unreadable_runs
from cnnlab.runs.transfer.archive import import_run
from cnnlab.storage.cores import available_cores
from cnnlab.ui.frame.actions import attempt
from cnnlab.ui.frame.live import live
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.wording import as_text
from cnnlab.ui.learners.who import learner
from cnnlab.ui.learners.whose import listed, whose_switch
from cnnlab.ui.train.list import cluster_line, matching_runs, run_links, unreadable_run_links
from cnnlab.wording import plural
from cnnlab.workers.scheduler import scheduler
from cnnlab.workers.settings import MAX_PARALLEL_RUNS

_RUNS_SHOWN = 12
_REFRESH_SECONDS = 1.0


def shelf_popover(chosen: Run | None) -> None:
    """Show a button that unfolds all runs, and one to import an archive; say where runs cannot be read or started."""
    with st.container(horizontal=True, key="shelf"):
        with st.popover("All runs", icon=":material/list:", key="all_runs"):
            st.text_input(
                "Search",
                key=Key.RUN_SEARCH,
                persist_state="session",
                icon=":material/search:",
                placeholder="A name, a setting or a status",
            )
            whose_switch()
            live(
                partial(_list, chosen),
                shown=chosen and chosen.status,
                now=lambda: chosen and chosen.status,
                seconds=_REFRESH_SECONDS,
                address={"run": chosen.id} if chosen else {},
            )
            _parallel_runs_input()
        _import_popover()
    cluster_line()
    if unreadable := unreadable_runs():
        st.caption(f":red[{plural(len(unreadable), 'run')} cannot be read: see *All runs*.]")


def _list(chosen: Run | None) -> None:
    unreadable_run_links(unreadable_runs())
    runs = matching_runs([*listed(all_runs()), *reference_runs()], st.session_state.get(Key.RUN_SEARCH) or "")
    shown = st.session_state.get(Key.RUNS_SHOWN, _RUNS_SHOWN)
    run_links(runs[:shown], chosen)
    if not runs:
        st.caption("No run has all of these words.")
    if len(runs) > shown:
        st.button("Older runs", on_click=lambda: st.session_state.update({Key.RUNS_SHOWN: shown + _RUNS_SHOWN}))


def _parallel_runs_input() -> None:
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


def _import_popover() -> None:
    key = f"archive_{st.session_state.get(Key.IMPORTS, 0)}"
    with st.popover("Import a run", icon=":material/upload:"):
        st.file_uploader(
            "An archive, downloaded from a lab as *Run (zip)*", "zip", key=key, on_change=_import_archive, args=(key,)
        )
        if import_error := st.session_state.get(Key.IMPORT_ERROR):
            st.error(as_text(import_error))


def _import_archive(key: str) -> None:
    """Make a run of the archive that was just uploaded, and turn to it."""
    st.session_state[Key.IMPORT_ERROR] = None
    if (archive := st.session_state.get(key)) is None:  # it was taken out again
        return
    try:
        st.query_params["run"] = import_run(archive.getvalue(), learner()).id
        st.session_state[Key.IMPORTS] = st.session_state.get(Key.IMPORTS, 0) + 1  # the next uploader is empty
    except LabError as error:
        st.session_state[Key.IMPORT_ERROR] = str(error)
