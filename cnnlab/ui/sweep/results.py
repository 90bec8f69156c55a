"""The results of a sweep, live while its runs train."""

import math
from functools import partial

import pandas as pd
import streamlit as st

from cnnlab.charts.sweep import CELL, heat_map, means_chart, title_of
from cnnlab.comparison.outcomes import is_chance
from cnnlab.conclusions.values import answer, collapses, values_of
from cnnlab.runs.log import Status
from cnnlab.sweeps.sweep import Sweep, find_sweep
from cnnlab.ui.frame.actions import attempt
from cnnlab.ui.frame.download import download_button
from cnnlab.ui.frame.live import live
from cnnlab.ui.frame.page import theme_color
from cnnlab.ui.frame.wording import as_text, csv_of
from cnnlab.ui.train.list import cluster_line
from cnnlab.wording import plural
from cnnlab.workers.scheduler import scheduler

_REFRESH_SECONDS = 1.0
# The accuracies that a sweep can be looked at by, in the table's order.
_ACCURACIES = {
    "test_accuracy": "MNIST's test images",
    "pen_accuracy": "digits drawn by people",
    "validation_accuracy": "images kept out of training",
}


def sweep_view(sweep: Sweep) -> None:
    """Show the results of a sweep so far, live while its runs train."""
    is_active = _is_active(sweep)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(as_text(sweep.name), anchor=False, width="stretch")
        st.button(
            "Stop all",
            icon=":material/stop:",
            disabled=not is_active,
            on_click=attempt,
            args=(_stop, sweep),
            help="Weights and checkpoints are kept.",
        )
        st.button(
            "Resume",
            icon=":material/play_arrow:",
            disabled=not sweep.can_resume,
            on_click=attempt,
            args=(sweep.resume,),
            help="Queues those that have not finished.",
        )
        download_button(
            "CSV",
            lambda: csv_of(sweep.table()),
            file_name=f"sweep-{sweep.id}.csv",
            mime="text/csv",
            icon=":material/download:",
            help="Downloads the table below.",
        )
    live(
        partial(_results, sweep.id),
        shown=is_active,
        now=lambda: _is_active(find_sweep(sweep.id)),
        seconds=_REFRESH_SECONDS,
        is_live=is_active,
        address={"sweep": sweep.id},
    )


def _is_active(sweep: Sweep) -> bool:
    return sweep.is_searching or any(run.status.is_active for run in sweep.runs())


def _stop(sweep: Sweep) -> None:
    sweep.end_search()
    for run in sweep.runs():
        if run.status.is_active:
            scheduler().stop(run)


def _results(sweep_id: str) -> None:
    sweep = find_sweep(sweep_id)  # a search makes further runs
    table = sweep.table()
    ended = sum(status not in (Status.QUEUED, Status.RUNNING) for status in table["status"])
    cluster_line()
    count = max(len(table), sweep.count if sweep.is_searching else 0)
    pruned = f", {len(sweep.pruned_ids):,} of them early" if sweep.pruned_ids else ""
    st.progress(min(1.0, ended / max(1, count)), text=f"{ended:,} of {plural(count, 'run')} ended{pruned}")
    if sweep.search and not sweep.is_searching and len(sweep.run_ids) < sweep.search.runs:
        st.caption(
            f"It made {len(sweep.run_ids):,} of {sweep.search.runs:,} runs: it was stopped, or found no other settings "
            "that are allowed."
        )
    accuracies = [name for name in _ACCURACIES if name in table]
    accuracy = _accuracy_choice(sweep, accuracies)
    tried = sweep.tried
    values = values_of(table, tried, accuracy)
    if not values:
        st.caption("Nothing to compare yet: the first results come with the first run that ends.")
    else:
        with st.container(border=True, gap="xsmall", key="sweep_answer"):
            st.markdown(as_text(answer(values, is_running=_is_active(sweep))))
            by_what = f"By the accuracy on {_ACCURACIES[accuracy]}; single runs tell little."
            lines = [collapses(values), _not_counted(table), _not_asked(table, accuracy), by_what]
            st.caption(as_text(" ".join(filter(None, lines))))
        _charts_view(sweep.id, table, tried, accuracy)
    _table_view(table, accuracies)


def _accuracy_choice(sweep: Sweep, accuracies: list[str]) -> str:
    """Let the person choose the accuracy to look at."""
    default = "validation_accuracy" if "validation_accuracy" in accuracies else "test_accuracy"
    if len(accuracies) == 1:
        return default
    chosen = st.segmented_control(
        "By the accuracy on",
        accuracies,
        default=default,
        required=True,
        format_func=lambda name: _ACCURACIES[name][0].upper() + _ACCURACIES[name][1:],
        key=f"sweep_accuracy_{sweep.id}",
        persist_state="session",
    )
    if sweep.search:
        st.caption("The search itself chooses by the images kept out of training alone, whatever is looked at here.")
    return chosen or default


def _not_counted(table: pd.DataFrame) -> str:
    unfinished = int((table["status"] != Status.FINISHED).sum())
    return f"{plural(unfinished, 'run')} of {len(table):,} not finished: they count for nothing." if unfinished else ""


def _not_asked(table: pd.DataFrame, accuracy: str) -> str:
    missing = int(((table["status"] == Status.FINISHED) & table[accuracy].isna()).sum())
    if not missing:
        return ""
    if accuracy == "validation_accuracy":
        return f"{plural(missing, 'run')} without images kept out of training: left out."
    return f"{plural(missing, 'run')} of an earlier version, without this accuracy: left out."


def _table_view(table: pd.DataFrame, accuracies: list[str]) -> None:
    shown = table.rename(columns=title_of)
    percentages = [title_of(name) for name in accuracies]
    shown[percentages] *= 100
    shown["Status"] = [
        "collapsed" if status == Status.FINISHED and is_chance(share) else status
        for status, share in zip(table["status"], table["test_accuracy"], strict=True)
    ]
    st.dataframe(
        shown,
        hide_index=True,
        key="sweep_table",
        placeholder="–",
        column_config={
            "Train loss": st.column_config.NumberColumn(format="%.4f"),
            "Test loss": st.column_config.NumberColumn(format="%.4f"),
            **{name: st.column_config.NumberColumn(format="%.2f %%") for name in percentages},
        },
    )


def _charts_view(sweep_id: str, table: pd.DataFrame, tried: list[str], accuracy: str) -> None:
    """Show the accuracies against one setting, and against two where so many were tried."""
    settings = [name for name in tried if name != "seed"]
    told = table[table["status"] == Status.FINISHED].dropna(subset=[accuracy])
    if not settings:
        return
    if len(settings) == 1:
        _means_view(sweep_id, told, settings[0], accuracy)
        return
    two, one = st.tabs(["Two settings", "One setting"])
    with two:
        _heat_map_view(sweep_id, told, settings, accuracy)
    with one:
        setting = st.selectbox("Against", settings, format_func=title_of, key="sweep_against", width=220)
        _means_view(sweep_id, told, setting, accuracy)


def _means_view(sweep_id: str, told: pd.DataFrame, setting: str, accuracy: str) -> None:
    values = values_of(told, [setting], accuracy)
    missing = (math.nan, math.nan)
    means = pd.DataFrame(
        {
            setting: value.settings[setting],
            "mean": value.seeds.mean,
            "low": (value.seeds.interval or missing)[0],
            "high": (value.seeds.interval or missing)[1],
            "runs": value.seeds.count,
        }
        for value in values
    )
    chart = means_chart(means, told[[setting, accuracy]], setting, accuracy)
    event = st.altair_chart(chart, key=f"sweep_means_{sweep_id}_{setting}", on_select="rerun")
    st.caption(
        "Filled: the mean over all runs with that value, and its 95 % interval. Rings: the runs. What lies "
        "below the axis stands at its end. Click a mean to compare its runs."
    )
    if clicked := event.selection.get(CELL):
        _compare_link(told[told[setting] == clicked[0][setting]], "with this value")


def _heat_map_view(sweep_id: str, told: pd.DataFrame, settings: list[str], accuracy: str) -> None:
    with st.container(horizontal=True):
        rows = st.selectbox("Rows", settings, format_func=title_of, key="sweep_rows", width=220)
        others = [name for name in settings if name != rows]
        columns = st.selectbox("Columns", others, format_func=title_of, key="sweep_columns", width=220)
    # A cell that was clicked in one chart is none of another.
    key = f"sweep_heat_map_{sweep_id}_{rows}_{columns}"
    chart = heat_map(told, rows, columns, accuracy, text_color=theme_color("textColor"))
    event = st.altair_chart(chart, key=key, on_select="rerun")
    st.caption(f"The mean {title_of(accuracy).lower()} of the runs in each cell. Click one to compare its runs.")
    if cells := event.selection.get(CELL):
        _compare_link(told[(told[rows] == cells[0][rows]) & (told[columns] == cells[0][columns])], "of this cell")


def _compare_link(runs: pd.DataFrame, which: str) -> None:
    if run_ids := list(runs["run"][:20]):  # none if all of them were deleted
        st.page_link(
            "pages/compare.py",
            label=f"Compare the {plural(len(run_ids), 'run')} {which}",
            icon=":material/compare_arrows:",
            query_params={"runs": ",".join(run_ids)},
        )
