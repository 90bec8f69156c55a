"""The results of the compared runs as tables, and how their recipes and sources differ."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from cnnlab.comparison.experiments import differing_settings, name_of
from cnnlab.comparison.labels import labels_of
from cnnlab.comparison.outcomes import outcome
from cnnlab.comparison.results import over_seeds, results
from cnnlab.data.pen_digits import TESTING_DIGITS
from cnnlab.drawing.my_digits import my_digits
from cnnlab.models.alignment import source_diff
from cnnlab.runs.log import Status
from cnnlab.runs.run import Run
from cnnlab.ui.answers.gallery import WILSON
from cnnlab.ui.draw.my_digits import accuracies_on, unseen_by
from cnnlab.ui.frame.download import download_button
from cnnlab.ui.frame.torch_thread import ask
from cnnlab.ui.frame.wording import as_text, csv_of, in_cell
from cnnlab.ui.learners.who import learner
from cnnlab.wording import duration, percent, percent_range

_PERCENTAGES = {"progress", "test_accuracy", "pen_accuracy", "my_digits"}
# What fits beside each other on a laptop; the other columns are in the table's own menu, and in the CSV.
_SHOWN = [
    *(
        "run",
        "status",
        "train_loss",
        "beside_tutorial",
        "test_loss",
        "test_accuracy",
        "interval",
        "pen_accuracy",
        "pen_interval",
        "my_digits",
    ),
    "seconds_per_epoch",
]


def results_view(runs: Sequence[Run]) -> None:
    """Show a table of what came of each run."""
    table = ask(results, runs)  # those of older runs are asked of their networks
    table.insert(0, "run", [in_cell(label) for label in labels_of(runs)])
    if digits := my_digits(learner()):
        table["my_digits"] = accuracies_on(unseen_by(runs, digits), runs)
    shown = table.drop(columns=["accuracy_low", "accuracy_high", "pen_low", "pen_high"])
    for name in _PERCENTAGES & set(shown):
        shown[name] = 100 * shown[name]
    shown["status"] = [_status_line(run) for run in runs]
    for accuracy, name, ends in (("test_accuracy", "interval", "accuracy"), ("pen_accuracy", "pen_interval", "pen")):
        interval = _intervals(table[f"{ends}_low"], table[f"{ends}_high"])
        shown.insert(list(shown.columns).index(accuracy) + 1, name, interval)
    st.dataframe(
        shown,
        hide_index=True,
        key="results",
        placeholder="–",
        column_order=[name for name in _SHOWN if name in shown],
        column_config={
            "run": st.column_config.TextColumn("Run", pinned=True, width=230),
            "status": st.column_config.TextColumn("Status", width=100),
            "progress": st.column_config.ProgressColumn("Progress", format="%.0f %%", max_value=100),
            "train_loss": st.column_config.NumberColumn("Train loss", format="%.4f"),
            "beside_tutorial": st.column_config.NumberColumn(
                "Beside the tutorial",
                format="%+.4f",
                help="How far the train loss lies above the one that the tutorial prints for that definition.",
            ),
            "test_loss": st.column_config.NumberColumn("Test loss", format="%.4f"),
            "best_test_loss": st.column_config.NumberColumn("Best test loss", format="%.4f"),
            "best_epoch": st.column_config.NumberColumn("in epoch", format="%d"),
            "test_accuracy": st.column_config.NumberColumn("Test accuracy", format="%.2f %%"),
            "interval": st.column_config.TextColumn("95 % interval"),
            "pen_accuracy": st.column_config.NumberColumn(
                "Drawn by people",
                format="%.2f %%",
                help="The share that it reads right of digits that people drew with a pen on a screen, who are not "
                "among those it was trained on.",
            ),
            "pen_interval": st.column_config.TextColumn("95 % interval"),
            "my_digits": st.column_config.NumberColumn(
                "My digits",
                format="%.2f %%",
                help="The share that it reads right of the digits that you drew and kept on the Draw page. Left out "
                "are those that one of these runs was trained on.",
            ),
            "parameters": st.column_config.NumberColumn("Parameters", format="localized"),
            "seconds_per_epoch": st.column_config.NumberColumn("Seconds/epoch", format="%.1f"),
            "images_per_second": st.column_config.NumberColumn("Images/s", format="localized", step=1),
        },
    )
    _over_seeds_view(ask(over_seeds, runs))
    st.caption(
        "Losses and accuracy are those of the newest epoch. A click on a heading sorts; the eye above the table brings "
        "further columns. An interval says how far the accuracy on 10,000 images, or on the "
        f"{TESTING_DIGITS:,} that people drew, may lie from that on all such digits "
        f"([Wilson's score interval]({WILSON})). Times are medians over the epochs."
    )
    download_button(
        "Download as CSV",
        lambda: csv_of(table),
        file_name="comparison.csv",
        mime="text/csv",
        icon=":material/download:",
    )


def _intervals(lows: pd.Series, highs: pd.Series) -> list[str | None]:
    return [percent_range(low, high) if low == low else None for low, high in zip(lows, highs, strict=True)]


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
        "Mean on people's digits": [percent(mean) if mean == mean else "–" for mean in summary["pen_accuracy_mean"]],
        "Mean train loss": summary["train_loss_mean"].map("{:.4f}".format),
    }
    st.table(pd.DataFrame(shown), hide_index=True)


def _status_line(run: Run) -> str:
    if run.status is Status.RUNNING and (seconds := run.seconds_left()) is not None:
        return f"running, {duration(seconds)} left"
    return outcome(run)


def differences_view(runs: Sequence[Run]) -> None:
    """Show the settings that are not the same in all runs, and how their sources differ."""
    settings = differing_settings(runs)
    if settings.empty:
        st.write("These runs have the same recipe, and the same seed.")
    else:
        settings.columns = pd.Index([as_text(label) for label in labels_of(runs)])
        settings.index = pd.Index([name_of(setting) for setting in settings.index])
        st.table(settings.T.astype(str))
    sources: dict[str, str] = {}
    for run, label in zip(runs, labels_of(runs), strict=True):
        sources.setdefault(run.source, as_text(label))
    (first, first_label), *others = sources.items()
    for other, other_label in others:
        with st.expander(f"The source of {first_label} (−) and of {other_label} (+)"):
            st.code(source_diff(first, other), language="diff")
