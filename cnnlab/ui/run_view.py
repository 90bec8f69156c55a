"""One run: what can be done with it, and its progress, live while it trains."""

import math
from collections.abc import Callable
from typing import NoReturn

import pandas as pd
import streamlit as st

from cnnlab.charts import accuracy_chart, loss_chart
from cnnlab.errors import LabError
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.archive import export_run
from cnnlab.runs.folder import DamagedRun, NoSuchRun
from cnnlab.runs.log import History, Status
from cnnlab.runs.names import MAX_NAME_LENGTH
from cnnlab.runs.queue import waiting_runs
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import delete_run
from cnnlab.scheduler import scheduler
from cnnlab.training.script import training_script
from cnnlab.ui.live import refresh_seconds
from cnnlab.ui.run_list import status_badge
from cnnlab.ui.wording import as_text, csv_of, duration, percent, plural

_REFRESH_SECONDS = 0.5
_TABLE_ROWS = 10


def run_view(run: Run) -> None:
    """Show a run with its actions. While it is active, what it tells appears by itself."""
    status = run.status
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(as_text(run.name), anchor=False, width="content")
        status_badge(status, "stopping" if status.is_active and run.stop_requested else None)
    st.caption(_recipe_line(run))
    with st.container(horizontal=True, key="run_actions"):
        _actions(run, status)
    if damage := run.damage():
        st.error(as_text(str(damage)))
    try:
        run.history()
    except DamagedRun:
        return  # without its log, there is nothing to show
    _ending(run, status)
    run_every = refresh_seconds(_REFRESH_SECONDS) if status.is_active else None
    st.fragment(_live, run_every=run_every)(run, status, run.weights_path.exists())


def show_again(run: Run) -> NoReturn:
    """Run the page anew for the run it shows; for the timed parts of a page, when what stands around them is old.

    A timed part runs with the address that the browser had when it asked for it, and that may be another run's: a page
    that has just turned to a new run would turn back.
    """
    st.query_params["run"] = run.id
    st.rerun()


def _recipe_line(run: Run) -> str:
    config = run.config
    parts = [
        run.title,
        plural(config.epochs, "epoch"),
        f"batch size {config.batch_size:,}",
        config.optimizer,
        f"learning rate {config.learning_rate:g}",
        f"momentum {config.momentum:g}",
        f"weight decay {config.weight_decay:g}" if config.weight_decay else "",
        "" if config.schedule == "constant" else f"{config.schedule} schedule",
        "changed images" if config.augment else "",
        f"images shifted by up to {plural(config.shift, 'pixel')}" if config.shift else "",
        f"seed {config.seed}",
        config.device,
        plural(config.threads, "thread"),
    ]
    return " · ".join(filter(None, parts))


def _actions(run: Run, status: Status) -> None:
    if status.is_active:
        st.button(
            "Stop",
            icon=":material/stop:",
            on_click=attempt,
            args=(scheduler().stop, run),
            disabled=run.stop_requested,
            help="The weights and a checkpoint are kept.",
        )
    if run.can_resume and not run.is_reference:
        st.button(
            "Resume",
            icon=":material/play_arrow:",
            on_click=attempt,
            args=(scheduler().start, run),
            help="Goes on where it stopped, as if it had never stopped.",
        )
    with st.popover("Download", icon=":material/download:"):
        _downloads(run)
    if run.is_reference:
        return
    with st.popover("Rename", icon=":material/edit:"):
        st.text_input("Name", run.name, max_chars=MAX_NAME_LENGTH, key=f"name_{run.id}")
        st.button("Save name", on_click=_rename, args=(run,))
    if st.button(
        "Delete",
        icon=":material/delete:",
        disabled=status is Status.RUNNING,
        help="Stop the run first." if status is Status.RUNNING else None,
    ):
        _confirm_delete(run, run.name)


def attempt(action: Callable[..., None], *arguments: object) -> None:
    """Act for a button; what goes wrong is shown above the runs."""
    try:
        action(*arguments)
    except LabError as error:
        st.session_state["run_error"] = str(error)


def _rename(run: Run) -> None:
    attempt(run.rename, st.session_state[f"name_{run.id}"])


def _delete(run: Run) -> None:
    attempt(delete_run, run)
    if "run_error" not in st.session_state:
        st.query_params.pop("run", None)


def _downloads(run: Run) -> None:
    has_weights = run.weights_path.exists()
    st.download_button(
        "Weights (safetensors)",
        run.weights_path.read_bytes if has_weights else b"",
        file_name=f"{run.id}.safetensors",
        disabled=not has_weights,
        help=None if has_weights else "There are none yet.",
        on_click="ignore",
    )
    _csv_download("Epochs (CSV)", lambda: run.history().epochs, file_name=f"{run.id}-epochs.csv")
    _csv_download("Batches (CSV)", lambda: run.history().batches, file_name=f"{run.id}-batches.csv")
    with_checkpoint = run.has_checkpoint and st.checkbox(
        "With the checkpoint, to resume it elsewhere", key=f"checkpoint_{run.id}"
    )
    st.download_button(
        "Run (zip)",
        lambda: export_run(run, checkpoint=with_checkpoint),
        file_name=f"{run.id}.zip",
        mime="application/zip",
        help="Its recipe, losses and weights. *Import a run*, below the list of runs, takes it into another lab.",
        on_click="ignore",
    )
    st.download_button(
        "Training script (Python)",
        lambda: training_script(run.source, run.config),
        file_name=f"train_{run.id.replace('-', '_')}.py",
        mime="text/x-python",
        help="Needs torch and torchvision alone, and gives the same losses.",
        on_click="ignore",
    )


def _csv_download(label: str, table: Callable[[], pd.DataFrame], file_name: str) -> None:
    """Show a button for a table that is made when it is pressed."""
    st.download_button(label, lambda: csv_of(table()), file_name=file_name, mime="text/csv", on_click="ignore")


@st.dialog("Delete this run?")
def _confirm_delete(run: Run, name: str) -> None:
    st.write(f"**{as_text(name)}**, its losses and its weights will be gone for good.")
    with st.container(horizontal=True):
        is_deleted = st.button("Delete for good", type="primary", on_click=_delete, args=(run,))
        is_kept = st.button("Keep it")
    if is_deleted or is_kept:
        st.rerun()


def _ending(run: Run, status: Status) -> None:
    """Say why a run ended before its last epoch, and what to do."""
    reason = run.history().reason
    match status:
        case Status.FAILED:
            st.error(as_text(reason or "It failed."))
        case Status.INTERRUPTED:
            ended = reason or "The process that trained it ended unexpectedly."
            st.warning(f"{as_text(ended)} Resume goes on from the last checkpoint.")
            if not reason and (lines := run.error_lines()):
                st.code("\n".join(lines), language=None)
        case Status.STOPPED if not run.history().starts:
            st.info("Taken out of the queue before it began. Resume queues it again.")


def _live(run: Run, status_shown: Status, had_weights: bool) -> None:
    """Show what the run's log says, in places that stay where they are."""
    try:
        status, history = run.status, run.history()
    except NoSuchRun:  # deleted from another tab
        show_again(run)
    if status is not status_shown or run.weights_path.exists() is not had_weights:
        show_again(run)  # what stands around this, the actions above all, is not up to date any more
    st.progress(min(1.0, history.step / run.total_steps), text=_progress_line(run, status, history))
    _metrics(run, history)
    st.caption(_kernels_line(history))
    definition = DEFINITIONS.get(run.model)
    tutorial_losses = definition.tutorial_losses if definition else ()
    losses = loss_chart(
        history.batches,
        history.epochs,
        tutorial_losses,
        steps_per_epoch=run.steps_per_epoch,
        total_steps=run.total_steps,
    )
    st.vega_lite_chart(losses.points, losses.spec, key=f"loss_chart_{run.id}")
    accuracy = accuracy_chart(history.epochs, run.config.epochs)
    st.vega_lite_chart(accuracy.points, accuracy.spec, key=f"accuracy_chart_{run.id}")
    table = epoch_table(history.epochs, tutorial_losses, run.config.epochs)
    st.table(table, hide_index=True, height=460 if len(table) > _TABLE_ROWS else "content")


def _progress_line(run: Run, status: Status, history: History) -> str:
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


def _kernels_line(history: History) -> str:
    """Say what computes the convolutions; before that is known, an empty line that keeps its place."""
    match history.kernels:
        case "fused":
            return "Convolution, ReLU and pooling run as one: the lab's fused kernels."
        case "torch" if history.kernels_reason:
            return as_text(f"PyTorch's kernels, since the lab's fused ones cannot be used: {history.kernels_reason}.")
        case "torch":
            return "Convolution, ReLU and pooling run one after the other: PyTorch's kernels."
        case _:
            return "&nbsp;"


def _metrics(run: Run, history: History) -> None:
    last = history.epochs.iloc[-1] if len(history.epochs) else None
    speed = history.steps_per_second
    trained = history.batches["seconds"].iloc[-1] if history.step else None
    with st.container(horizontal=True):
        st.metric("Train loss", f"{last.train_loss:.4f}" if last is not None else "–", width=135)
        st.metric("Test accuracy", percent(last.test_accuracy) if last is not None else "–", width=135)
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
                "Test loss": f"{row['test_loss']:.4f}" if row else "",
                "Test accuracy": percent(row["test_accuracy"]) if row else "",
                **({"Validation": percent(row["validation_accuracy"]) if row else ""} if has_validation else {}),
                "Seconds": f"{row['seconds']:.1f}" if row else "",
                "Images/s": f"{row['images_per_second']:,.0f}" if row else "",
            }
        )
    return pd.DataFrame(rows)
