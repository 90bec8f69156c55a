"""Runs as a list of links, with what each one is doing."""

from contextlib import suppress
from typing import Literal

import streamlit as st

from cnnlab.comparison.labels import labels_of
from cnnlab.comparison.outcomes import has_collapsed, outcome
from cnnlab.errors import LabError
from cnnlab.runs.folder import DamagedRun, NoSuchRun, UnreadableRun
from cnnlab.runs.log import Status
from cnnlab.runs.run import Run
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
    for run, label in zip(runs, _labels_of(runs), strict=True):
        try:
            status = run.status
            if damage := run.damage():
                icon, told = _DAMAGED_ICON, [_damage_told(damage)]
            else:
                icon, told = _COLLAPSED_ICON if has_collapsed(run) else _ICONS[status], _told_of(run, status)
        except NoSuchRun:  # deleted from another tab just now
            continue
        _link(run.id, label, icon, told, is_chosen=chosen is not None and run.id == chosen.id)


def matching_runs(runs: list[Run], search: str) -> list[Run]:
    """Return the runs whose label, name, identifier or status has all words of a search."""
    words = search.casefold().split()
    if not words:
        return runs
    found = []
    for run, label in zip(runs, _labels_of(runs), strict=True):
        with suppress(LabError):
            told = f"{label} {run.name} {run.id} {outcome(run)}".casefold()
            if all(word in told for word in words):
                found.append(run)
    return found


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


def _link(run_id: str, label: str, icon: str, told: list[str], *, is_chosen: bool = False) -> None:
    with st.container(gap=None, key=f"run_{'chosen_' if is_chosen else ''}{run_id}"):
        st.page_link("pages/train.py", label=as_text(label), icon=icon, query_params={"run": run_id})
        st.caption(" · ".join(told))


def _damage_told(damage: UnreadableRun) -> str:
    if isinstance(damage, DamagedRun):
        return f":red[damaged: {as_text(damage.file)}]"
    return as_text(damage.kind)


def _labels_of(runs: list[Run]) -> list[str]:
    try:
        return labels_of(runs)
    except NoSuchRun:  # one was deleted from another tab just now: it is left out below
        return [run.id for run in runs]


def _word_for(run: Run, status: Status) -> str:
    return ":orange[collapsed]" if has_collapsed(run) else status.value


def _told_of(run: Run, status: Status) -> list[str]:
    told = ["ships with the lab"] if run.is_reference else [_word_for(run, status), ago(run.created)]
    if epoch := run.last_epoch():
        told.append(f"{percent(epoch.test_accuracy)} after epoch {epoch.epoch} of {run.config.epochs}")
    return told
