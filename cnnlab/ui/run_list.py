"""Runs as a list of links, with what each one is doing."""

from typing import Literal

import streamlit as st

from cnnlab.runs import NoSuchRun, Run, Status
from cnnlab.ui.wording import ago, as_text, percent

_ICONS = {
    Status.QUEUED: ":material/schedule:",
    Status.RUNNING: ":material/autorenew:",
    Status.STOPPED: ":material/pause_circle:",
    Status.INTERRUPTED: ":material/power_off:",
    Status.FAILED: ":material/error:",
    Status.FINISHED: ":material/check_circle:",
}
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


def run_links(runs: list[Run], chosen: Run | None = None) -> None:
    """Show a link to each run, and below it its status, its newest test accuracy and its age."""
    for run in runs:
        try:
            status = run.status
            told = _told_of(run, status)
        except NoSuchRun:  # deleted from another tab just now
            continue
        is_chosen = chosen is not None and run.id == chosen.id
        with st.container(gap=None, key=f"run_{'chosen_' if is_chosen else ''}{run.id}"):
            st.page_link("pages/train.py", label=as_text(run.name), icon=_ICONS[status], query_params={"run": run.id})
            st.caption(" · ".join(told))


def _told_of(run: Run, status: Status) -> list[str]:
    told = ["ships with the lab"] if run.is_reference else [status.value, ago(run.created)]
    if epoch := run.last_epoch():
        told.append(f"{percent(epoch.test_accuracy)} after epoch {epoch.epoch} of {run.config.epochs}")
    return told
