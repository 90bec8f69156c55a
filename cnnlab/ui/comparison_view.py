"""The parts of the Compare page."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from itertools import combinations
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import streamlit as st

from cnnlab.comparison import (
    SIGNIFICANCE,
    Axis,
    Measure,
    Verdict,
    by_recipe,
    compare_answers,
    confusion_matrix,
    curves,
    differing_settings,
    disagreements,
    folded_labels_of,
    over_seeds,
    results,
)
from cnnlab.comparison_charts import comparison_chart, confusion_figure
from cnnlab.data.mnist import load_test_set
from cnnlab.drawing.my_digits import my_digits
from cnnlab.inference.test_set import Predictions
from cnnlab.models.alignment import source_diff
from cnnlab.runs.log import Status
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import labels_of
from cnnlab.training.settings import LABELS
from cnnlab.ui.asking import ask
from cnnlab.ui.digits import digit_buttons, digit_gallery
from cnnlab.ui.my_digits_view import accuracies_on
from cnnlab.ui.page import theme_color
from cnnlab.ui.wording import as_text, csv_of, duration, percent

_SMOOTHINGS = [1, 10, 30, 100, 300, 1000]
_SENTENCES = 6
_IMAGES = 24
_ANSWERS_SHOWN = 4
_MCNEMAR = "https://en.wikipedia.org/wiki/McNemar%27s_test"
WILSON = "https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval#Wilson_score_interval"


Choice = TypeVar("Choice", bound=StrEnum)


def curves_view(runs: Sequence[Run]) -> None:
    """Show the runs' curves in one chart, with what to show of them."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="curve_choices"):
        measure = _choice("Curve", Measure)
        axis = _choice("Against", Axis)
        is_logarithmic = st.toggle("Logarithmic", value=True, key="logarithmic", persist_state="session")
        can_fold = any(len(group) > 1 for group in by_recipe(runs).values())
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
                "Mean of the last … batches", _SMOOTHINGS, value=30, key="smoothing", width=240
            )
    labels = folded_labels_of(runs) if fold else labels_of(runs)
    st.altair_chart(
        comparison_chart(
            curves(runs, labels, measure, axis, smoothing=smoothing, fold=fold),
            list(dict.fromkeys(labels)),
            measure,
            axis,
            end=_end(runs, axis),
            is_logarithmic=is_logarithmic and measure is not Measure.TEST_ACCURACY,
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


def results_view(runs: Sequence[Run]) -> None:
    """Show a table of what came of each run."""
    table = results(runs)
    table.insert(0, "run", labels_of(runs))
    if digits := my_digits():
        table.insert(list(table.columns).index("accuracy_high") + 1, "my_digits", accuracies_on(digits, runs))
    interval = [
        f"{percent(low)} to {percent(high)}" if low == low else None
        for low, high in zip(table["accuracy_low"], table["accuracy_high"], strict=True)
    ]
    shown = table.drop(columns=["accuracy_low", "accuracy_high"])
    shown["status"] = [_status_line(run) for run in runs]
    shown.insert(list(shown.columns).index("test_accuracy") + 1, "interval", interval)
    st.dataframe(
        shown,
        hide_index=True,
        key="results",
        placeholder="–",
        column_config={
            "run": st.column_config.TextColumn("Run", pinned=True),
            "status": "Status",
            "progress": st.column_config.ProgressColumn("Progress", format="percent"),
            "train_loss": st.column_config.NumberColumn("Train loss", format="%.4f"),
            "test_loss": st.column_config.NumberColumn("Test loss", format="%.4f"),
            "best_test_loss": st.column_config.NumberColumn("Best test loss", format="%.4f"),
            "best_epoch": st.column_config.NumberColumn("in epoch"),
            "test_accuracy": st.column_config.NumberColumn("Test accuracy", format="percent"),
            "interval": st.column_config.TextColumn("95 % interval"),
            "my_digits": st.column_config.NumberColumn(
                "My digits",
                format="percent",
                help="The share that it reads right of the digits that you drew and kept on the Draw page.",
            ),
            "parameters": st.column_config.NumberColumn("Parameters", format="localized"),
            "seconds_per_epoch": st.column_config.NumberColumn("Seconds/epoch", format="%.1f"),
            "images_per_second": st.column_config.NumberColumn("Images/s", format="%d"),
        },
    )
    _over_seeds_view(over_seeds(runs))
    st.caption(
        "Losses and accuracy are those of the newest epoch. A click on a heading sorts. The interval says how far the "
        f"accuracy on 10,000 images may lie from that on all such digits ([Wilson's score interval]({WILSON})). Times "
        "are medians over the epochs."
    )
    st.download_button(
        "Download as CSV",
        lambda: csv_of(table),
        file_name="comparison.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
    )


def _over_seeds_view(summary: pd.DataFrame) -> None:
    if summary.empty:
        return
    st.markdown("**Over the seeds**")
    shown = {
        "": summary["label"].map(as_text),
        "Seeds": summary["seeds"].astype(str),
        "Mean test accuracy": summary["accuracy_mean"].map(percent),
        "Lowest": summary["accuracy_low"].map(percent),
        "Highest": summary["accuracy_high"].map(percent),
        "Mean train loss": summary["train_loss_mean"].map("{:.4f}".format),
    }
    st.table(pd.DataFrame(shown), hide_index=True)


def _status_line(run: Run) -> str:
    status = run.status
    if status is Status.RUNNING and (seconds := run.seconds_left()) is not None:
        return f"{status}, {duration(seconds)} left"
    return status


def differences_view(runs: Sequence[Run]) -> None:
    """Show the settings that are not the same in all runs, and how their sources differ."""
    settings = differing_settings(runs)
    if settings.empty:
        st.write("These runs have the same recipe, and the same seed.")
    else:
        settings.columns = pd.Index([as_text(label) for label in labels_of(runs)])
        settings.index = pd.Index([LABELS.get(str(field), str(field).capitalize()) for field in settings.index])
        st.table(settings.T.astype(str))
    sources: dict[str, str] = {}
    for run, label in zip(runs, labels_of(runs), strict=True):
        sources.setdefault(run.source, as_text(label))
    (first, first_label), *others = sources.items()
    for other, other_label in others:
        with st.expander(f"The source of {first_label} (−) and of {other_label} (+)"):
            st.code(source_diff(first, other), language="diff")


def verdicts_view(names: Sequence[str], predictions: Sequence[Predictions]) -> None:
    """Say of each pair of runs whether the difference of their answers is more than chance."""
    labels = _test_labels()
    verdicts = {
        (first, second): compare_answers(labels, predictions[first].answers, predictions[second].answers)
        for first, second in combinations(range(len(names)), 2)
    }
    if len(verdicts) <= _SENTENCES:
        for (first, second), verdict in verdicts.items():
            st.markdown(f"- {verdict.sentence(*(f'**{as_text(names[index])}**' for index in (first, second)))}")
    else:
        st.dataframe(_verdict_table(verdicts, names), hide_index=True, column_config=_VERDICT_COLUMNS, key="verdicts")
    by_chance = f"{len(verdicts) * SIGNIFICANCE:.2g} of {len(verdicts)} pairs"
    chance = f" About {by_chance} would show p below 0.05 by chance alone." if len(verdicts) > _SENTENCES else ""
    st.caption(
        f"[McNemar's test]({_MCNEMAR}), exact, on the same 10,000 test images: p is how probable so uneven a split of "
        "the images that only one of the two gets right would be, were both equally good; below 0.05 is called more "
        f"than chance.{chance} It compares two trained networks, their seeds included. Whether a definition or a "
        "setting is better takes several seeds of each."
    )


_VERDICT_COLUMNS: dict[str, Any] = {
    "p_value": st.column_config.NumberColumn("p", format="%.3g"),
    "only_first": st.column_config.NumberColumn("Only the first is right"),
    "only_second": st.column_config.NumberColumn("Only the second is right"),
    "first": "First",
    "second": "Second",
    "verdict": st.column_config.TextColumn("Verdict", width="large"),
}


def _verdict_table(verdicts: dict[tuple[int, int], Verdict], names: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "first": names[first],
            "second": names[second],
            "only_first": verdict.only_first,
            "only_second": verdict.only_second,
            "p_value": verdict.p_value,
            "verdict": verdict.sentence(names[first], names[second]),
        }
        for (first, second), verdict in verdicts.items()
    )


def confusion_view(names: Sequence[str], predictions: Sequence[Predictions]) -> None:
    """Show which digits two runs take for which, on one colour scale, and the images behind a cell."""
    indices = list(range(len(names)))
    first, second = 0, 1
    if len(names) > 2:
        with st.container(horizontal=True):
            first = st.selectbox("First run", indices, format_func=names.__getitem__, key="first_confused")
            second = st.selectbox("Second run", indices, index=1, format_func=names.__getitem__, key="second_confused")
    labels = _test_labels()
    matrices = [confusion_matrix(labels, predictions[index].answers) for index in (first, second)]
    highest = max(int((matrix - np.diag(np.diag(matrix))).max()) for matrix in matrices)
    shown = {"first": matrices[0], "second": matrices[1], "difference": matrices[1] - matrices[0]}
    titles = {"first": names[first], "second": names[second], "difference": "Second minus first"}
    for column, (which, matrix) in zip(st.columns(3), shown.items(), strict=True):
        with column:
            st.markdown(f"**{as_text(titles[which])}**")
            confusion_chart(
                matrix,
                highest,
                key=_figure_key(which),
                on_click=lambda *cell, which=which: _keep_cell(which, *cell),
                is_difference=which == "difference",
            )
    st.caption(
        "Each row is a digit, each column an answer; the number says how many of the test images. In the first two, a "
        "stronger colour is more errors, on one scale. In the third, orange is where the second run gives that answer "
        "more often, and blue where the first does. Click a number to see its images."
    )
    if cell := st.session_state.get("confusion_cell"):
        which, digit, answer = cell
        answered = {"first": [first], "second": [second], "difference": [first, second]}[which]
        is_behind = np.any([predictions[index].answers == answer for index in answered], axis=0)
        st.markdown(f"**{digit} answered as {answer}** by {as_text(' or '.join(names[index] for index in answered))}")
        answers_gallery(np.flatnonzero(is_behind & (labels == digit)), names, predictions, key="behind_cell")


def confusion_chart(
    matrix: np.ndarray, highest: int, *, key: str, on_click: Callable[[int, int], None], is_difference: bool = False
) -> None:
    """Show a confusion matrix, as `confusion_figure` draws it; `on_click` is given a cell's digit and answer."""

    def tell_of_click() -> None:
        if points := st.session_state[key]["selection"]["points"]:
            on_click(int(points[0]["y"]), int(points[0]["x"]))

    st.plotly_chart(
        confusion_figure(matrix, max(1, highest), text_color=theme_color("textColor"), is_difference=is_difference),
        key=key,
        on_select=tell_of_click,
        selection_mode="points",
        config={"displayModeBar": False},
    )


def _figure_key(which: str) -> str:
    return f"confusion_{which}_{st.session_state.get(f'renewed_{which}', 0)}"


def _keep_cell(which: str, digit: int, answer: int) -> None:
    previous = st.session_state.get("confusion_cell")
    st.session_state["confusion_cell"] = (which, digit, answer)
    if previous and previous[0] != which:  # a new figure, in which no cell is chosen any more
        renewed = f"renewed_{previous[0]}"
        st.session_state[renewed] = st.session_state.get(renewed, 0) + 1


def disagreements_view(names: Sequence[str], predictions: Sequence[Predictions]) -> None:
    """Show the images to which the runs give different answers."""
    found = disagreements(predictions)
    if not len(found):
        st.write("None: these runs give the same answer to each of the 10,000 test images.")
        return
    st.write(f"On {len(found):,} of 10,000 test images, not all answers are the same. The most confident come first.")
    answers_gallery(found, names, predictions, key="disagreements")


def answers_gallery(
    indices: np.ndarray,
    names: Sequence[str],
    predictions: Sequence[Predictions],
    *,
    key: str,
    at_first: int = _IMAGES,
    on_click: Callable[[int], None] | None = None,
) -> None:
    """Show test images with the answers that are given to them.

    Parameters
    ----------
    indices
        Of the images in the test set, int64.
    names
        Of those that give the answers.
    at_first
        How many images are shown until more are asked for.
    on_click
        Makes the images buttons, and is given the index of one that is clicked.
    """
    count = st.session_state.get(key, at_first)
    chosen = indices[:count]
    images, labels = ask(load_test_set)
    captions = [[f"Digit {labels[index]}", *_answers(index, names, predictions)] for index in chosen]
    if on_click:
        digit_buttons(images[chosen], captions, chosen.tolist(), key=key, on_click=on_click)
    else:
        digit_gallery(images[chosen], captions)
    if len(indices) > count:
        st.button(
            f"More of {len(indices):,}", key=f"more_{key}", on_click=st.session_state.__setitem__, args=(key, count * 2)
        )


def _answers(index: int, names: Sequence[str], predictions: Sequence[Predictions]) -> list[str]:
    if len(names) <= _ANSWERS_SHOWN:
        return [
            f"{name}: {each.answers[index]} ({100 * each.confidences[index]:.0f} %)"
            for name, each in zip(names, predictions, strict=True)
        ]
    answering: dict[int, list[str]] = {}
    for name, each in zip(names, predictions, strict=True):
        answering.setdefault(int(each.answers[index]), []).append(name)
    return [f"{answer}: {'; '.join(who)}" for answer, who in answering.items()]


def _test_labels() -> np.ndarray:
    return ask(load_test_set)[1].numpy()
