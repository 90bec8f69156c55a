"""The curves of the compared runs in one chart."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TypeVar

import streamlit as st

from cnnlab.charts.comparison import comparison_chart
from cnnlab.comparison.curves import Axis, Measure, curves, tutorial_curves
from cnnlab.comparison.experiments import by_experiment, folded_labels_of
from cnnlab.comparison.labels import labels_of
from cnnlab.runs.run import Run

_SMOOTHINGS = [1, 10, 30, 100, 300, 1000]


Choice = TypeVar("Choice", bound=StrEnum)


def curves_view(runs: Sequence[Run]) -> None:
    """Show the runs' curves in one chart, with what to show of them."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="curve_choices"):
        measure = _choice("Curve", Measure)
        axis = _choice("Against", Axis)
        is_logarithmic = st.toggle("Logarithmic", value=True, key="logarithmic", persist_state="session")
        can_fold = any(len(group) > 1 for group in by_experiment(runs).values())
        fold = can_fold and st.toggle(
            "Fold seeds",
            value=True,
            key="fold",
            persist_state="session",
            help="Runs that differ in nothing but their seed become one curve: their mean, and a band from the lowest "
            "to the highest. Where some have not come as far, it is of those that have; against seconds, the curve "
            "goes as far as all have come.",
        )
        smoothing = 1
        if measure is Measure.BATCH_LOSS:
            smoothing = st.select_slider(
                "Mean of the last … batches",
                _SMOOTHINGS,
                value=30,
                key="smoothing",
                width=240,
                persist_state="session",
            )
        has_tutorial = measure is Measure.TRAIN_LOSS and axis is not Axis.SECONDS
        with_tutorial = has_tutorial and st.toggle(
            "Tutorial's losses",
            value=True,
            key="with_tutorial",
            persist_state="session",
            help="The two tables that the tutorial prints, dotted: one for each way to write the network.",
        )
    labels = folded_labels_of(runs) if fold else labels_of(runs)
    end = _end(runs, axis)
    st.altair_chart(
        comparison_chart(
            curves(runs, labels, measure, axis, smoothing=smoothing, fold=fold),
            list(dict.fromkeys(labels)),
            measure,
            axis,
            end=end,
            is_logarithmic=is_logarithmic and measure is not Measure.TEST_ACCURACY,
            references=tutorial_curves(end, axis, runs[0].steps_per_epoch) if with_tutorial and end else None,
        ),
        key="comparison_chart",
    )
    st.caption(
        "A click on a name hides its curve, another one brings it back. Curves that are the same lie on each other: "
        "the first is the widest."
    )


def _choice(label: str, choices: type[Choice]) -> Choice:
    first, *_ = choices
    key = choices.__name__.lower()
    st.session_state.setdefault(key, first)
    return (
        st.segmented_control(label, list(choices), format_func=_title, required=True, key=key, persist_state="session")
        or first
    )


def _title(choice: StrEnum) -> str:
    return choice.replace("_", " ").capitalize()


def _end(runs: Sequence[Run], axis: Axis) -> int | None:
    match axis:
        case Axis.EPOCH:
            return max(run.config.epochs for run in runs)
        case Axis.STEP:
            return max(run.total_steps for run in runs)
        case _:
            return None
