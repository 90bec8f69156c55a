"""The plan of a sweep as a form, and what comes of its runs, live."""

import re
import tomllib
from contextlib import suppress
from statistics import median
from typing import Any

import pandas as pd
import streamlit as st

from cnnlab.errors import LabError
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.log import Status
from cnnlab.runs.shelf import all_runs
from cnnlab.scheduler import scheduler
from cnnlab.sweep_charts import CELL, heat_map, parallel_coordinates, title_of
from cnnlab.sweeps.plan import MOST_RUNS, Between, Plan, Search, different_recipes, is_whole
from cnnlab.sweeps.sweep import Sweep, find_sweep
from cnnlab.training.optimizers import OPTIMIZERS
from cnnlab.training.recipe import KERNELS, SCHEDULES, available_cores
from cnnlab.ui.live import refresh_seconds
from cnnlab.ui.page import theme_color
from cnnlab.ui.run_list import cluster_line
from cnnlab.ui.run_view import attempt
from cnnlab.ui.wording import as_text, csv_of, duration, percent, plural

# As many are started without asking twice.
MANY_RUNS = 100
_REFRESH_SECONDS = 1.0
_CHOICES: dict[str, list[Any]] = {
    "model": list(DEFINITIONS),
    "optimizer": list(OPTIMIZERS),
    "schedule": list(SCHEDULES),
    "augment": [False, True],
    "kernels": list(KERNELS),
}
_KINDS = {"grid": "Every combination", "draws": "Random draws", "search": "Find the best"}
# Settings whose powers of ten matter.
_LOGARITHMIC = ("learning_rate", "weight_decay")
_NUMBERS = {
    "learning_rate": "0.0003, 0.001, 0.003",
    "momentum": "0, 0.5, 0.9",
    "batch_size": "64, 128, 256",
    "weight_decay": "0, 0.0005",
    "epochs": "5, 10",
    "shift": "0, 1",
    "seed": "0, 1, 2",
}


def plan_form() -> Plan | None:
    """Show the settings to try, and return the plan; where it is none, say why, and return None."""
    tried = st.multiselect(
        "Settings to try",
        [*_NUMBERS, *_CHOICES],
        ["learning_rate", "seed"],
        format_func=title_of,
        key="sweep_fields",
        persist_state="session",
    )
    settings: dict[str, Any] = {}
    with st.container(horizontal=True):
        for name in tried:
            if name in _CHOICES:
                options = _CHOICES[name]
                settings[name] = tuple(
                    st.multiselect(title_of(name), options, options, key=f"sweep_{name}", persist_state="session")
                )
            else:
                written = st.text_input(
                    title_of(name), _NUMBERS[name], key=f"sweep_{name}", persist_state="session", max_chars=5_000
                )
                settings[name] = _values_in(name, written)
    kind = st.segmented_control(
        "Runs",
        list(_KINDS),
        default="grid",
        required=True,
        format_func=_KINDS.__getitem__,
        key="sweep_kind",
        help="Between two numbers, such as 0.0001 to 0.1, can be drawn and looked for. *Find the best* keeps "
        "10,000 training images out of training and goes by the accuracy on them: Optuna proposes each run by "
        "those before it, and stops those that fall behind.",
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if "epochs" not in tried:
            settings["epochs"] = st.number_input("Epochs of each run", 1, 1000, 3, key="sweep_epochs", width=180)
        settings["threads"] = st.number_input("Threads of each run", 1, 256, 1, key="sweep_threads", width=180)
        if kind != "grid":
            count = st.number_input("Runs, at most", 1, MOST_RUNS, 20, key="sweep_count", width=180)
    try:
        draws = int(min(count, max(1, different_recipes(settings)))) if kind == "draws" else None
        search = Search(count, at_once=at_once(settings["threads"])) if kind == "search" else None
        plan = Plan(settings, draws, search=search)
        plan.recipes()
    except LabError as error:
        st.error(as_text(str(error)))
        return None
    return plan


def at_once(threads: int) -> int:
    """Return how many runs of a search train at a time."""
    return scheduler().parallel_runs or max(1, available_cores() // threads)


def _values_in(name: str, written: str) -> tuple[Any, ...] | Between:
    """Return the numbers that somebody wrote, with commas or "to" between them; others are for the plan to refuse."""
    if between := re.fullmatch(r"\s*(\S+)\s+to\s+(\S+)\s*", written):
        with suppress(ValueError):
            low, high = (int(each) if is_whole(name) else float(each) for each in between.groups())
            return Between(low, high, is_logarithmic=name in _LOGARITHMIC and low > 0)
    try:
        return tuple(tomllib.loads(f"numbers = [{written}]")["numbers"])
    except (ValueError, RecursionError):  # ValueError: a number of thousands of digits is one
        return tuple(part.strip() for part in written.split(","))


def cost_line(plan: Plan) -> str:
    """Return how many runs a plan makes, and about how long they take, by the speed of the newest finished ones."""
    speeds = [
        epoch.images_per_second
        for run in all_runs()[:20]
        if run.status is Status.FINISHED and (epoch := run.last_epoch())
    ]
    line = plural(plan.count, "run")
    if not speeds:
        return f"{line}."
    images = [config.epochs * config.images_per_epoch for _, config in plan.recipes()]
    if plan.search:
        most = duration(plan.count * max(images) / median(speeds))
        return f"{line}, at most {most} of training one after the other, as fast as the newest runs were."
    seconds = sum(images) / median(speeds)
    return f"{line}, about {duration(seconds)} of training one after the other, as fast as the newest runs were."


def sweep_view(sweep: Sweep) -> None:
    """Show what has come of a sweep so far. While its runs train, what they tell appears by itself."""
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
    pace = refresh_seconds(_REFRESH_SECONDS)
    st.fragment(_live, run_every=pace if is_active else None)(sweep.id, is_active, pace)


def _is_active(sweep: Sweep) -> bool:
    return sweep.is_searching or any(run.status.is_active for run in sweep.runs())


def _stop(sweep: Sweep) -> None:
    sweep.end_search()
    for run in sweep.runs():
        if run.status.is_active:
            scheduler().stop(run)


def _live(sweep_id: str, was_active: bool, pace: float) -> None:
    sweep = find_sweep(sweep_id)  # a search makes further runs
    table = sweep.table()
    ended = sum(status not in (Status.QUEUED, Status.RUNNING) for status in table["status"])
    if _is_active(sweep) is not was_active or refresh_seconds(_REFRESH_SECONDS) != pace:
        st.query_params["sweep"] = sweep.id  # a timed part may have been given an older one by the browser
        st.rerun()
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
    st.dataframe(
        shown,
        hide_index=True,
        key="sweep_table",
        placeholder="–",
        column_config={
            "Test accuracy": st.column_config.NumberColumn(format="percent"),
            "Validation accuracy": st.column_config.NumberColumn(format="percent"),
            "Train loss": st.column_config.NumberColumn(format="%.4f"),
            "Test loss": st.column_config.NumberColumn(format="%.4f"),
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
