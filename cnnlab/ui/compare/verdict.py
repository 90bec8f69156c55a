"""The conclusion of a comparison, and what is to be said of runs that came to no good end."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import streamlit as st

from cnnlab.comparison.experiments import folded_labels_of
from cnnlab.comparison.labels import labels_of
from cnnlab.comparison.outcomes import collapse_of
from cnnlab.conclusions.people import People, on_people
from cnnlab.conclusions.report import comparison_report
from cnnlab.conclusions.verdicts import conclusion
from cnnlab.data.pen_digits import TESTING_DIGITS
from cnnlab.errors import LabError
from cnnlab.inference.test_set import Predictions, predictions_of
from cnnlab.runs.log import Status
from cnnlab.runs.run import Run
from cnnlab.ui.answers.gallery import true_digits
from cnnlab.ui.frame.download import download_button
from cnnlab.ui.frame.torch_thread import ask
from cnnlab.ui.frame.wording import as_text

_MCNEMAR = "https://en.wikipedia.org/wiki/McNemar%27s_test"
_WELCH = "https://en.wikipedia.org/wiki/Welch%27s_t-test"
_HOW = f"""
**Two networks** are compared by [McNemar's test]({_MCNEMAR}), exact, on the same 10,000 test images: p is how probable
so uneven a split of the images that only one of the two gets right would be, were both equally good. It compares two
trained networks, their seeds included.

**Drawn by people** is a second test set, compared in the same way: {TESTING_DIGITS:,} digits that people wrote with a
pen on a screen, none of whom wrote what a network is trained on. A network may be right less often there than on MNIST,
whose digits are of other pens and other hands: this is called distribution shift.

**Several seeds** of each are compared by their mean test accuracies, with [Welch's t-test]({_WELCH}): p is how probable
so large a difference of the means would be, were there none. Of several recipes, the best is held against the next.

Below 0.05 is called more than chance. How many seeds it would take to find a difference d, if it is real, in four of
five tries: (1.96 + 0.84)² (s₁² + s₂²) / d² + 1.96² / 4, with the spreads s₁ and s₂ of the accuracies over the seeds (W.
C. Guenther, Sample size formulas for normal theory t tests, The American Statistician 35, 1981).
"""


def people_of(runs: Sequence[Run]) -> People:
    """Ask runs about the digits that people drew."""
    answers, lacking = {}, {}
    for run in runs:
        try:
            answers[run.id] = ask(predictions_of, run, "pen").answers
        except LabError as error:
            lacking[run.id] = str(error)
    return People(answers, true_digits("pen") if answers else np.zeros(0, np.int64), lacking)


def conclusion_view(runs: Sequence[Run], predictions: Sequence[Predictions], people: People) -> None:
    """Show what comparing some runs comes to, on MNIST's test images and on what people drew."""
    labels = labels_of(runs) if len(runs) == 2 else folded_labels_of(runs)
    names = {run.id: f"**{as_text(label)}**" for run, label in zip(runs, labels, strict=True)}
    answers = {run.id: each.answers for run, each in zip(runs, predictions, strict=True)}
    digits = true_digits("mnist")
    found = conclusion(runs, answers, digits, names)
    people = replace(people, lacking={run_id: as_text(reason) for run_id, reason in people.lacking.items()})
    with st.container(border=True, gap="xsmall", key="conclusion"):
        st.markdown(found.sentence)
        if told := on_people(runs, people, names, answers, digits):
            st.markdown(told)
        with st.container(horizontal=True, vertical_alignment="center"):
            if found.advice:
                st.caption(found.advice)
            with st.popover("How this is tested", icon=":material/help:", type="tertiary"):
                st.markdown(_HOW)


def bad_ends_view(runs: Sequence[Run]) -> None:
    """Say of each run that failed or collapsed why, and what to try."""
    for run, label in zip(runs, labels_of(runs), strict=True):
        if run.status is Status.FAILED:
            st.error(f"**{as_text(label)}** failed. {as_text(run.history().reason or 'Its log does not say why.')}")
        elif collapse := collapse_of(run):
            st.warning(f"**{as_text(label)}**: {as_text(collapse.sentence())}")


def report_button(
    runs: Sequence[Run], answering: Sequence[Run], predictions: Sequence[Predictions], people: People
) -> None:
    """Show a button that downloads the comparison as a file; the answers are those of the runs that have any."""
    answers = {run.id: each.answers for run, each in zip(answering, predictions, strict=True)}
    download_button(
        "Report",
        lambda: comparison_report(runs, answers, true_digits("mnist"), people),
        file_name="comparison.html",
        mime="text/html",
        icon=":material/description:",
        help="Downloads the verdict, curves, results, recipes, confusion matrices and sources as one HTML file, which "
        "opens without the lab.",
    )
