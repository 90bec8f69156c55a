"""The conclusion of a comparison, and what is to be said of runs that came to no good end."""

from collections.abc import Sequence

import streamlit as st

from cnnlab.comparison.experiments import folded_labels_of
from cnnlab.comparison.labels import labels_of
from cnnlab.comparison.outcomes import collapse_of
from cnnlab.conclusions.report import comparison_report
from cnnlab.conclusions.verdicts import Conclusion, conclusion
from cnnlab.inference.test_set import Predictions
from cnnlab.runs.log import Status
from cnnlab.runs.run import Run
from cnnlab.ui.answers.gallery import true_digits
from cnnlab.ui.frame.download import download_button
from cnnlab.ui.frame.wording import as_text

_MCNEMAR = "https://en.wikipedia.org/wiki/McNemar%27s_test"
_WELCH = "https://en.wikipedia.org/wiki/Welch%27s_t-test"
_HOW = f"""
**Two networks** are compared by [McNemar's test]({_MCNEMAR}), exact, on the same 10,000 test images: p is how probable
so uneven a split of the images that only one of the two gets right would be, were both equally good. It compares two
trained networks, their seeds included.

**Several seeds** of each are compared by their mean test accuracies, with [Welch's t-test]({_WELCH}): p is how probable
so large a difference of the means would be, were there none. Of several recipes, the best is held against the next.

Below 0.05 is called more than chance. How many seeds it would take to find a difference d, if it is real, in four of
five tries: (1.96 + 0.84)² (s₁² + s₂²) / d² + 1.96² / 4, with the spreads s₁ and s₂ of the accuracies over the seeds (W.
C. Guenther, Sample size formulas for normal theory t tests, The American Statistician 35, 1981).
"""


def conclusion_of(runs: Sequence[Run], predictions: Sequence[Predictions]) -> Conclusion:
    """Return what comparing some runs comes to, in Markdown; `predictions` are theirs."""
    labels = labels_of(runs) if len(runs) == 2 else folded_labels_of(runs)
    names = {run.id: f"**{as_text(label)}**" for run, label in zip(runs, labels, strict=True)}
    answers = {run.id: each.answers for run, each in zip(runs, predictions, strict=True)}
    return conclusion(runs, answers, true_digits("mnist"), names)


def conclusion_view(runs: Sequence[Run], predictions: Sequence[Predictions]) -> None:
    """Show what comparing some runs comes to."""
    found = conclusion_of(runs, predictions)
    with st.container(border=True, gap="xsmall", key="conclusion"):
        st.markdown(found.sentence)
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


def report_button(runs: Sequence[Run], answering: Sequence[Run], predictions: Sequence[Predictions]) -> None:
    """Show a button that downloads the comparison as a file; `predictions` are those of the runs that answer."""
    answers = {run.id: each.answers for run, each in zip(answering, predictions, strict=True)}
    download_button(
        "Report",
        lambda: comparison_report(runs, answers, true_digits("mnist")),
        file_name="comparison.html",
        mime="text/html",
        icon=":material/description:",
        help="Downloads the verdict, curves, results, recipes, confusion matrices and sources as one HTML file, which "
        "opens without the lab.",
    )
