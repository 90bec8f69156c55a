"""Runs as a list of links, with what each one is doing."""

from collections.abc import Sequence
from typing import Literal

import streamlit as st

from cnnlab.comparison.listing import Order, SweepRow, in_order, labels_in_list
from cnnlab.comparison.outcomes import has_collapsed
from cnnlab.runs.folder import DamagedRun, NoSuchRun, UnreadableRun
from cnnlab.runs.log import Status
from cnnlab.runs.run import Run
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.wording import as_text
from cnnlab.wording import ago, percent
from cnnlab.workers.scheduler import scheduler

_ICONS = {
    Status.QUEUED: ":material/schedule:",
    Status.RUNNING: ":material/autorenew:",
    Status.STOPPED: ":material/pause_circle:",
    Status.INTERRUPTED: ":material/power_off:",
    Status.FAILED: ":material/error:",
    Status.FINISHED: ":material/check_circle:",
}
_DAMAGED_ICON = ":material/broken_image:"
_COLLAPSED_ICON = ":material/trending_flat:"
_SWEEP_ICON = ":material/grid_on:"
_STAR = ":orange[★]"
_NOTE = ":material/sticky_note_2:"
_ORDERS = {Order.AGE: "Newest", Order.ACCURACY: "Best accuracy", Order.NAME: "Name"}
_COLORS: dict[Status, Literal["gray", "blue", "orange", "red", "green"]] = {
    Status.QUEUED: "gray",
    Status.RUNNING: "blue",
    Status.STOPPED: "orange",
    Status.INTERRUPTED: "orange",
    Status.FAILED: "red",
    Status.FINISHED: "green",
}


def status_badge(status: Status, label: str | None = None) -> None:
    """Show a status as a coloured word; `label` says it more exactly."""
    st.badge((label or status).capitalize(), icon=_ICONS[status], color=_COLORS[status])


def order_choice() -> None:
    """Let somebody choose what comes first in lists of runs."""
    st.segmented_control(
        "Order",
        list(_ORDERS),
        format_func=_ORDERS.__getitem__,
        default=Order.AGE,
        required=True,
        key=Key.RUN_ORDER,
        persist_state="session",
        label_visibility="collapsed",
        help="Runs with a star come first. The lists to pick runs from are in this order, too.",
    )


def chosen_order() -> Order:
    """Return what comes first in lists of runs."""
    return Order(st.session_state.get(Key.RUN_ORDER, Order.AGE))


def row_links(rows: Sequence[Run | SweepRow], chosen: Run | None = None) -> None:
    """Show the rows of a list: a link to each run, and a sweep that opens.

    Below a run stand its status, its newest test accuracy, its age, and what somebody noted of it.
    """
    labels = iter(labels_in_list([row for row in rows if isinstance(row, Run)]))
    for row in rows:
        if isinstance(row, SweepRow):
            _sweep_row(row, chosen)
        else:
            _run_row(row, next(labels), chosen)


def _sweep_row(row: SweepRow, chosen: Run | None) -> None:
    opened = st.expander(
        as_text(row.in_words()), key=f"sweep_{row.sweep.id}", icon=_SWEEP_ICON, type="compact", on_change="rerun"
    )
    with opened:
        if opened.open:  # a sweep may have thousands of runs
            st.page_link("pages/sweep.py", label="Open on Sweep", query_params={"sweep": row.sweep.id})
            runs = in_order(row.runs, chosen_order())
            for run, label in zip(runs, labels_in_list(runs), strict=True):
                _run_row(run, label, chosen, row.sweep.id)


def _run_row(run: Run, label: str, chosen: Run | None, within: str = "") -> None:
    try:
        status = run.status
        if damage := run.damage():
            icon, told = _DAMAGED_ICON, [_damage_told(damage)]
        else:
            icon, told = _COLLAPSED_ICON if has_collapsed(run) else _ICONS[status], _told_of(run, status)
    except NoSuchRun:  # deleted from another tab just now
        return
    if run.is_starred:
        told[0] = f"{_STAR} {told[0]}"
    is_chosen = chosen is not None and run.id == chosen.id
    _link(run.id, label, icon, told, run.note, is_chosen=is_chosen, within=within)


def note_line(note: str) -> None:
    """Show what somebody noted of a run, if anything."""
    if note:
        st.caption(f"{_NOTE} {as_text(note)}")


def unreadable_run_links(damages: list[UnreadableRun]) -> None:
    """Show a link to each run whose state cannot be read, and below it the file that is damaged."""
    for damage in damages:
        _link(damage.run_id, damage.run_id, _DAMAGED_ICON, [_damage_told(damage)])


def cluster_line() -> None:
    """Say where runs train if that is a cluster, and what is wrong where none can be started."""
    if problem := scheduler().cluster_problem:
        st.error(as_text(f"{problem} Runs wait until it answers."))
    elif problem := scheduler().problem:
        st.error(as_text(f"Runs wait, since none can be started. {problem}"))
    elif scheduler().trains_on_cluster:
        st.caption("Runs train on a Ray cluster; their results are kept here.")


def _link(
    run_id: str,
    label: str,
    icon: str,
    told: list[str],
    note: str = "",
    *,
    is_chosen: bool = False,
    within: str = "",
) -> None:
    """Show a link to a run; one with a star may stand within a sweep, too."""
    with st.container(gap=None, key=f"run_{'chosen_' if is_chosen else ''}{run_id}{within and f'_in_{within}'}"):
        st.page_link("pages/train.py", label=as_text(label), icon=icon, query_params={"run": run_id})
        st.caption(" · ".join(told))
        note_line(note)


def _damage_told(damage: UnreadableRun) -> str:
    if isinstance(damage, DamagedRun):
        return f":red[damaged: {as_text(damage.file)}]"
    return as_text(damage.kind)


def _word_for(run: Run, status: Status) -> str:
    return ":orange[collapsed]" if has_collapsed(run) else status.value


def _told_of(run: Run, status: Status) -> list[str]:
    told = ["ships with the lab"] if run.is_reference else [_word_for(run, status), ago(run.created)]
    if epoch := run.last_epoch():
        told.append(f"{percent(epoch.test_accuracy)} after epoch {epoch.epoch} of {run.config.epochs}")
    return told
