"""Verdicts, confusion matrices and disagreements of the compared runs."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from cnnlab.comparison.statistics import SIGNIFICANCE, Verdict, compare_answers, disagreements
from cnnlab.inference.confusion import confusion_matrix
from cnnlab.inference.test_set import Predictions, TestSet
from cnnlab.ui.answers.gallery import answers_gallery, confusion_chart, true_digits
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.wording import as_text, in_cell

_SENTENCES = 6


def verdicts_view(names: Sequence[str], answers: Sequence[np.ndarray], test_set: TestSet) -> None:
    """Say of each pair of runs whether the difference of their answers to a test set is more than chance."""
    labels = true_digits(test_set)
    verdicts = {
        (first, second): compare_answers(labels, answers[first], answers[second])
        for first, second in combinations(range(len(names)), 2)
    }
    st.markdown("**MNIST's test images**" if test_set == "mnist" else "**Digits drawn by people**")
    if len(verdicts) <= _SENTENCES:
        for (first, second), verdict in verdicts.items():
            st.markdown(f"- {verdict.sentence(*(f'**{as_text(names[index])}**' for index in (first, second)))}")
    else:
        table = _verdict_table(verdicts, names)
        st.dataframe(table, hide_index=True, column_config=_VERDICT_COLUMNS, key=f"verdicts_{test_set}")
        by_chance = f"{len(verdicts) * SIGNIFICANCE:.2g} of {len(verdicts)} pairs"
        st.caption(f"About {by_chance} would show p below 0.05 by chance alone.")


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
            "first": in_cell(names[first]),
            "second": in_cell(names[second]),
            "only_first": verdict.only_first,
            "only_second": verdict.only_second,
            "p_value": verdict.p_value,
            "verdict": in_cell(verdict.sentence(names[first], names[second])),
        }
        for (first, second), verdict in verdicts.items()
    )


def confusion_matrices_view(names: Sequence[str], predictions: Sequence[Predictions]) -> None:
    """Show the confusion matrices of two runs, on one colour scale, and the images behind a cell."""
    indices = list(range(len(names)))
    first, second = 0, 1
    if len(names) > 2:
        with st.container(horizontal=True):
            first = st.selectbox("First run", indices, format_func=names.__getitem__, key="first_confused")
            second = st.selectbox("Second run", indices, index=1, format_func=names.__getitem__, key="second_confused")
    labels = true_digits("mnist")
    matrices = [confusion_matrix(labels, predictions[index].answers) for index in (first, second)]
    is_one = bool((matrices[0] == matrices[1]).all())
    highest = max(int((matrix - np.diag(np.diag(matrix))).max()) for matrix in matrices)
    shown = {"first": matrices[0], "second": matrices[1], "difference": matrices[1] - matrices[0]}
    titles = {"first": names[first], "second": names[second], "difference": "Second minus first"}
    if is_one:
        shown = {"first": matrices[0]}
        titles["first"] = f"{names[first]} and {names[second]}"
        st.write("Both have the same confusion matrix.")
    for column, (which, matrix) in zip(st.columns(3), shown.items(), strict=False):
        with column:
            st.markdown(f"**{as_text(titles[which])}**")
            confusion_chart(
                matrix,
                highest,
                key=_figure_key(which),
                on_click=lambda *cell, which=which: _keep_cell(which, *cell),
                is_difference=which == "difference",
            )
    scales = "A stronger colour is more errors."
    if not is_one:
        scales = (
            "In the first two, a stronger colour is more errors, on one scale. In the third, orange is where the "
            "second run gives that answer more often, and blue where the first does."
        )
    st.caption(
        "Each row is a digit, each column an answer; the number says how many of the test images. "
        f"{scales} Click a number to see its images."
    )
    if cell := st.session_state.get(Key.CONFUSION_CELL):
        which, digit, answer = cell
        which = "first" if is_one else which
        answered = {"first": [first], "second": [second], "difference": [first, second]}[which]
        is_behind = np.any([predictions[index].answers == answer for index in answered], axis=0)
        st.markdown(f"**{digit} answered as {answer}** by {as_text(' or '.join(names[index] for index in answered))}")
        answers_gallery(np.flatnonzero(is_behind & (labels == digit)), names, predictions, key="behind_cell")


def _figure_key(which: str) -> str:
    return f"confusion_{which}_{st.session_state.get(f'renewed_{which}', 0)}"


def _keep_cell(which: str, digit: int, answer: int) -> None:
    previous = st.session_state.get(Key.CONFUSION_CELL)
    st.session_state[Key.CONFUSION_CELL] = (which, digit, answer)
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
