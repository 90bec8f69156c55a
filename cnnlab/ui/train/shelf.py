"""All runs, folded: a list with a search, an archive to import, and how many train at once."""

from functools import partial

import streamlit as st

from cnnlab.comparison.listing import in_order, matching_runs, rows_of
from cnnlab.errors import LabError
from cnnlab.networks.shelf import all_networks
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import all_runs, reference_runs, unreadable_runs
from cnnlab.runs.transfer.archive import import_run
from cnnlab.storage.cores import available_cores
from cnnlab.sweeps.sweep import all_sweeps
from cnnlab.ui.frame.actions import attempt
from cnnlab.ui.frame.live import live
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.wording import as_text
from cnnlab.ui.learners.who import learner
from cnnlab.ui.learners.whose import listed, whose_switch
from cnnlab.ui.train.list import (
    chosen_order,
    cluster_line,
    order_choice,
    row_links,
    unreadable_run_links,
)
from cnnlab.wording import percent, plural
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
                placeholder="A name, a setting, a status or a note",
            )
            order_choice()
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
    _what_came(chosen)
    cluster_line()
    if unreadable := unreadable_runs():
        st.caption(f":red[{plural(len(unreadable), 'run')} cannot be read: see *All runs*.]")


def _list(chosen: Run | None) -> None:
    unreadable_run_links(unreadable_runs())
    search = (st.session_state.get(Key.RUN_SEARCH) or "").strip()
    runs = matching_runs([*listed(all_runs()), *reference_runs()], search)
    # What is searched for is one run: it stands there itself, also where it is a sweep's.
    rows = in_order(rows_of(runs, [] if search else all_sweeps()), chosen_order())
    shown = st.session_state.get(Key.RUNS_SHOWN, _RUNS_SHOWN)
    row_links(rows[:shown], chosen)
    if not rows:
        st.caption("No run has all of these words.")
    if len(rows) > shown:
        st.button("More runs", on_click=lambda: st.session_state.update({Key.RUNS_SHOWN: shown + _RUNS_SHOWN}))


def _what_came(chosen: Run | None) -> None:
    """Say what an archive brought, as long as somebody looks at it."""
    if chosen is None or st.session_state.get(Key.IMPORTED) != chosen.id:
        st.session_state.pop(Key.IMPORTED, None)
        return
    epoch = chosen.last_epoch()
    told = [f"Imported as **{as_text(chosen.name)}**", as_text(chosen.title)]
    if epoch:
        told.append(f"{epoch.epoch} of {plural(chosen.config.epochs, 'epoch')}")
        told.append(f"{percent(epoch.test_accuracy)} of the test images are right")
    else:
        told.append("no epoch has ended")
    here = next((each for each in all_networks().values() if each.source == chosen.source), None)
    network = (
        f"Its network is here already: {as_text(here.title)}."
        if here
        else "Its network was not here: it came along as a source, from which it answers and trains."
    )
    st.success(f"{' · '.join(told)}. {network}")


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
    key = _uploader()
    with st.popover("Import a run", icon=":material/upload:"):
        st.file_uploader(
            "An archive, downloaded from a lab as *Run (zip)*", "zip", key=key, on_change=_import_archive, args=(key,)
        )
        if import_error := st.session_state.get(Key.IMPORT_ERROR):
            st.error(as_text(import_error))


def _uploader() -> str:
    """Return the key of the uploader: each archive that is imported makes it another, empty one."""
    return f"archive_{st.session_state.get(Key.IMPORTS, 0)}"


def _import_archive(key: str) -> None:
    """Make a run of the archive that was just uploaded, and turn to it."""
    if key != _uploader():  # the page was run anew while it was imported, and tells of the upload again
        return
    st.session_state[Key.IMPORT_ERROR] = None
    if (archive := st.session_state.get(key)) is None:  # it was taken out again
        return
    try:
        run = import_run(archive.getvalue(), learner())
        st.query_params["run"] = st.session_state[Key.IMPORTED] = run.id
        st.session_state[Key.IMPORTS] = st.session_state.get(Key.IMPORTS, 0) + 1
    except LabError as error:
        st.session_state[Key.IMPORT_ERROR] = str(error)
