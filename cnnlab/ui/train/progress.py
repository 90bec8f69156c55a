"""The progress of a run, live while it trains."""

import math
from typing import Any

import pandas as pd
import streamlit as st

from cnnlab.charts.run import accuracy_chart, loss_chart
from cnnlab.comparison.labels import rate_name
from cnnlab.comparison.results import tutorial_losses_of
from cnnlab.runs.log import History, Status
from cnnlab.runs.queue import waiting_runs
from cnnlab.runs.run import Run
from cnnlab.ui.frame.wording import as_text
from cnnlab.wording import duration, percent, plural

_TABLE_ROWS = 10


def progress_view(run: Run) -> None:
    """Show what the run's log says, in places that stay where they are."""
    status, history = run.status, run.history()
    st.progress(min(1.0, history.step / run.total_steps), text=progress_line(run, status, history))
    _results(history)
    tutorial_losses = tutorial_losses_of(run)
    losses = loss_chart(
        history.batches,
        history.epochs,
        tutorial_losses,
        steps_per_epoch=run.steps_per_epoch,
        total_steps=run.total_steps,
        learning_rates=history.learning_rates,
        rate_name=rate_name(run).replace("learning rate", "rate"),
    )
    st.vega_lite_chart(losses.points, losses.spec, key=f"loss_chart_{run.id}")
    st.html(f'<p class="unseen">{_chart_in_words(history)}</p>')
    _speeds(run, history)
    st.caption(_backend_line(history))
    accuracy = accuracy_chart(history.epochs, run.config.epochs)
    st.vega_lite_chart(accuracy.points, accuracy.spec, key=f"accuracy_chart_{run.id}")
    table = epoch_table(history.epochs, tutorial_losses, run.config.epochs)
    st.table(table, hide_index=True, height=460 if len(table) > _TABLE_ROWS else "content")


def _difference(row: dict[Any, Any] | None, tutorial_losses: tuple[float, ...], epoch: int) -> str:
    """Return how far a train loss lies above the tutorial's, or below, as both are written."""
    if not row or epoch > len(tutorial_losses):
        return ""
    return f"{round(row['train_loss'], 4) - tutorial_losses[epoch - 1]:+.4f}".replace("-", "−")


def progress_line(run: Run, status: Status, history: History) -> str:
    """Return where a run stands, and how much longer it trains."""
    if status is Status.QUEUED:
        queue = [waiting.id for waiting in waiting_runs()]
        ahead = queue.index(run.id) if run.id in queue else 0
        return f"Waits for its turn: {plural(ahead, 'run')} before it in the queue" if ahead else "Next in the queue"
    if status is Status.RUNNING and run.is_getting_ready:
        return "Getting ready: loading PyTorch and MNIST"
    epoch = max(1, math.ceil(history.step / run.steps_per_epoch))
    line = f"Epoch {epoch} of {run.config.epochs} · step {history.step:,} of {run.total_steps:,}"
    if status is Status.RUNNING and (seconds := run.seconds_left()) is not None:
        return f"{line} · {duration(seconds)} left"
    return line


def _backend_line(history: History) -> str:
    """Say what computes the layers; before that is known, an empty line that keeps its place."""
    match history.kernels:
        case "fused" if history.kernels_reason:
            return as_text(f"The fused backend: the lab's own kernels, and PyTorch for {history.kernels_reason}.")
        case "fused":
            return "The fused backend: the lab's own kernels compute all layers."
        case "torch" if history.kernels_reason:
            return as_text(f"The torch backend, since the fused one cannot be used: {history.kernels_reason}.")
        case "torch":
            return "The torch backend: PyTorch's layers, one after the other."
        case _:
            return "&nbsp;"


def _chart_in_words(history: History) -> str:
    """Return the newest points of the curves, for those who do not see them."""
    if history.epochs.empty:
        return "The chart has no epoch yet."
    last = history.epochs.iloc[-1]
    return (
        f"The chart's newest points, after epoch {last.epoch:.0f}: train loss {last.train_loss:.4f}, test loss "
        f"{last.test_loss:.4f}, test accuracy {percent(last.test_accuracy)}."
    )


def result_sentence(run: Run) -> str:
    """Return what came of a run that has trained to its end, beside the tutorial's loss after as many epochs.

    Empty where no epoch has ended.
    """
    if (last := run.last_epoch()) is None:
        return ""
    came_to = f"**{last.train_loss:.4f}** after {plural(last.epoch, 'epoch')}"
    losses = tutorial_losses_of(run)
    beside = f"; the tutorial printed {losses[last.epoch - 1]:.4f} there" if last.epoch <= len(losses) else ""
    people = "" if last.pen_accuracy is None else f", and {percent(last.pen_accuracy)} of those that people drew"
    return f"{came_to}{beside}. **{percent(last.test_accuracy)}** of the test images are right{people}."


def _results(history: History) -> None:
    last = history.epochs.iloc[-1] if len(history.epochs) else None
    pen_accuracy = None if last is None else last.get("pen_accuracy")
    with st.container(horizontal=True, key="run_results"):
        st.metric("Train loss", f"{last.train_loss:.4f}" if last is not None else "–", width=135)
        st.metric("Test accuracy", percent(last.test_accuracy) if last is not None else "–", width=135)
        st.metric(
            "Drawn by people",
            "–" if pen_accuracy is None or math.isnan(pen_accuracy) else percent(pen_accuracy),
            width=150,
            help="The share that it reads right of digits that people drew with a pen on a screen, none of whom wrote "
            "MNIST or was trained on. The same network is right less often there: what it has learned of MNIST holds "
            "less for other pens and other hands, which is called distribution shift.",
        )


def _speeds(run: Run, history: History) -> None:
    speed = history.steps_per_second
    trained = history.batches["seconds"].iloc[-1] if history.step else None
    with st.container(horizontal=True):
        st.metric("Images per second", f"{speed * run.config.batch_size:,.0f}" if speed else "–", width=135)
        st.metric("Trained for", duration(trained) if trained is not None else "–", width=135)
        st.metric(
            "Time to 99 %",
            f"{reached:.1f} s" if (reached := seconds_to(0.99, history.epochs)) is not None else "–",
            width=135,
            help="Seconds of training until an epoch ended with at least 99 % on the test set.",
        )


def seconds_to(accuracy: float, epochs: pd.DataFrame) -> float | None:
    """Return how long a run trained until the end of the first epoch with such a test accuracy; None if none has it."""
    reached = epochs["seconds"].cumsum()[epochs["test_accuracy"] >= accuracy]
    return float(reached.iloc[0]) if len(reached) else None


def epoch_table(epochs: pd.DataFrame, tutorial_losses: tuple[float, ...], planned_epochs: int) -> pd.DataFrame:
    """Return the epochs as text, with the tutorial's losses beside them.

    Epochs to come have their row too, up to `_TABLE_ROWS`, so that the table does not grow while one looks.
    """
    has_validation = "validation_accuracy" in epochs
    done = {row["epoch"]: row for row in epochs.to_dict("records")}
    rows = []
    for epoch in range(1, max(len(done), min(planned_epochs, _TABLE_ROWS)) + 1):
        row = done.get(epoch)
        rows.append(
            {
                "Epoch": str(epoch),
                "Train loss": f"{row['train_loss']:.4f}" if row else "",
                "Tutorial's": f"{tutorial_losses[epoch - 1]:.4f}" if epoch <= len(tutorial_losses) else "",
                "Difference": _difference(row, tutorial_losses, epoch),
                "Test loss": f"{row['test_loss']:.4f}" if row else "",
                "Test accuracy": percent(row["test_accuracy"]) if row else "",
                **({"Validation": percent(row["validation_accuracy"]) if row else ""} if has_validation else {}),
                "Seconds": f"{row['seconds']:.1f}" if row else "",
                "Images/s": f"{row['images_per_second']:,.0f}" if row else "",
            }
        )
    return pd.DataFrame(rows)
