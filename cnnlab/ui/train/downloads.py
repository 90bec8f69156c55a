"""What can be downloaded from a run."""

from collections.abc import Callable

import pandas as pd
import streamlit as st

from cnnlab.inference.onnx_file import HOW_TO_INSTALL, SUFFIX, can_write_onnx, run_as_onnx_elsewhere
from cnnlab.runs.run import Run
from cnnlab.runs.snapshots import kept_steps
from cnnlab.runs.transfer.archive import export_run
from cnnlab.training.script import training_script
from cnnlab.ui.frame.download import download_button
from cnnlab.ui.frame.wording import csv_of

_NO_WEIGHTS = "There are none yet."


def downloads(run: Run) -> None:
    has_weights = run.weights_path.exists()
    download_button(
        "Weights (safetensors)",
        run.weights_path.read_bytes,
        file_name=f"{run.id}.safetensors",
        mime="application/octet-stream",
        disabled=not has_weights,
        help=None if has_weights else _NO_WEIGHTS,
    )
    _onnx_download(run, has_weights)
    _csv_download("Epochs (CSV)", lambda: run.history().epochs, file_name=f"{run.id}-epochs.csv")
    _csv_download("Batches (CSV)", lambda: run.history().batches, file_name=f"{run.id}-batches.csv")
    with_checkpoint = run.has_checkpoint and st.checkbox(
        "With the checkpoint, to resume it elsewhere", key=f"checkpoint_{run.id}"
    )
    with_snapshots = bool(kept_steps(run)) and st.checkbox(
        "With the snapshots, which are its film", key=f"snapshots_{run.id}"
    )
    download_button(
        "Run (zip)",
        lambda: export_run(run, checkpoint=with_checkpoint, snapshots=with_snapshots),
        file_name=f"{run.id}.zip",
        mime="application/zip",
        help="Its recipe, losses and weights. *Import a run*, below the list of runs, takes it into another lab."
        + (" The digits that it was fine-tuned on come along." if run.fine_tuning else ""),
    )
    download_button(
        "Training script (Python)",
        lambda: training_script(run.source, run.config, run.learning_rates),
        file_name=f"train_{run.id.replace('-', '_')}.py",
        mime="text/x-python",
        disabled=run.fine_tuning is not None,
        help="A fine-tuned run begins with another's weights, which a script does not have."
        if run.fine_tuning
        else "Needs torch and torchvision alone, and gives the same losses.",
    )


def _onnx_download(run: Run, has_weights: bool) -> None:
    is_installed = can_write_onnx()
    download_button(
        "Network (ONNX)",
        lambda: run_as_onnx_elsewhere(run),
        file_name=f"{run.id}{SUFFIX}",
        mime="application/octet-stream",
        disabled=not (has_weights and is_installed),
        help="The network with its weights, for Netron and for other runtimes than PyTorch. It takes some seconds."
        if has_weights
        else _NO_WEIGHTS,
    )
    if not is_installed:
        st.caption(HOW_TO_INSTALL)


def _csv_download(label: str, table: Callable[[], pd.DataFrame], file_name: str) -> None:
    """Show a button for a table that is made when it is pressed."""
    download_button(label, lambda: csv_of(table()), file_name=file_name, mime="text/csv")
