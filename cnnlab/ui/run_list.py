"""Runs as a list of links, with what each one is doing."""

from typing import Literal

import streamlit as st

from cnnlab.runs import Run, Status
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
        status = run.status
        name = as_text(run.name)
        st.page_link(
            "pages/train.py",
            label=f"**{name}**" if chosen and run.id == chosen.id else name,
            icon=_ICONS[status],
            query_params={"run": run.id},
        )
        epoch = run.last_epoch()
        told = [status.value if not run.is_reference else "ships with the lab"]
        if epoch:
            told.append(percent(epoch.test_accuracy))
        if not run.is_reference:
            told.append(ago(run.created))
        st.caption(" · ".join(told))
