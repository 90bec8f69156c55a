"""The results of a sweep, live while its runs train."""

from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from cnnlab.charts.sweep import CELL, heat_map, parallel_coordinates, title_of
from cnnlab.runs.log import Status
from cnnlab.sweeps.sweep import Sweep, find_sweep
from cnnlab.ui.frame.actions import attempt
from cnnlab.ui.frame.live import live
from cnnlab.ui.frame.page import theme_color
from cnnlab.ui.frame.wording import as_text, csv_of
from cnnlab.ui.train.list import cluster_line
from cnnlab.wording import percent, plural
from cnnlab.workers.scheduler import scheduler

_REFRESH_SECONDS = 1.0


def sweep_view(sweep: Sweep) -> None:
    """Show the results of a sweep so far, live while its runs train."""
    is_active = _is_active(sweep)
    with st.container(horizontal=True):
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
        st.download_button(
            "Download as CSV",
            lambda: csv_of(sweep.table()),
            file_name=f"sweep-{sweep.id}.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
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
    accuracy, on_what = "test_accuracy", "the test set"
    if "validation_accuracy" in table:
        accuracy, on_what = "validation_accuracy", "the images that were kept out of training"
    told = table.dropna(subset=[accuracy])
    if told.empty:
        st.caption("Nothing to compare yet: the first results come with the first epochs.")
        return
    tried = sweep.tried
    best = told.nlargest(1, accuracy).to_dict("records")[0]
    chosen = ", ".join(f"{title_of(name).lower()} {_written(best[name])}" for name in tried)
    st.markdown(f"**Best so far: {percent(best[accuracy])}** on {on_what}, with {as_text(chosen or 'it')}.")
    if len(tried) > 1:
        _heat_map_view(sweep.id, told, tried, accuracy)
        st.plotly_chart(
            parallel_coordinates(told, tried, accuracy), key="sweep_coordinates", config={"displayModeBar": False}
        )
    shown = table.rename(columns=title_of)
    percentages = [title_of(name) for name in ("test_accuracy", "validation_accuracy") if name in table]
    shown[percentages] *= 100
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


def _heat_map_view(sweep_id: str, told: pd.DataFrame, tried: list[str], accuracy: str) -> None:
    with st.container(horizontal=True):
        rows = st.selectbox("Rows", tried, 0, format_func=title_of, key="sweep_rows", width=220)
        others = [name for name in tried if name != rows]
        columns = st.selectbox("Columns", others, 0, format_func=title_of, key="sweep_columns", width=220)
    # A cell that was clicked in one chart is none of another.
    key = f"sweep_heat_map_{sweep_id}_{rows}_{columns}"
    chart = heat_map(told, rows, columns, accuracy, text_color=theme_color("textColor"))
    event = st.altair_chart(chart, key=key, on_select="rerun")
    st.caption(f"The mean {title_of(accuracy).lower()} of the runs in each cell. Click one to compare its runs.")
    if cells := event.selection.get(CELL):
        in_cell = (told[rows] == cells[0][rows]) & (told[columns] == cells[0][columns])
        if run_ids := list(told.loc[in_cell, "run"][:20]):  # none if all of them were deleted
            st.page_link(
                "pages/compare.py",
                label=f"Compare the {plural(len(run_ids), 'run')} of this cell",
                icon=":material/compare_arrows:",
                query_params={"runs": ",".join(run_ids)},
            )


def _written(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
