"""A run's network with its weights as an ONNX file: Netron draws it, and other runtimes than PyTorch run it."""

import subprocess
import warnings
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

import torch
from torch import nn

from cnnlab.data.mnist import IMAGE_SHAPE
from cnnlab.errors import LabError
from cnnlab.inference.networks import newest_network_of
from cnnlab.runs.run import Run
from cnnlab.storage.processes import start_python

SUFFIX = ".onnx"
HOW_TO_INSTALL = (
    "ONNX needs two more packages: `pip install -r cnnlab/requirements-onnx.txt`, then start the lab again."
)
_PACKAGES = ("onnx", "onnxscript")
_MOST_SECONDS = 300
_one_at_a_time = Lock()  # a class that presses at once would fill the memory


class CannotWriteONNX(LabError):
    """A network cannot be written as an ONNX file."""


def can_write_onnx() -> bool:
    """Return whether the packages are installed with which PyTorch writes such a file."""
    return all(find_spec(name) for name in _PACKAGES)


def as_onnx(module: nn.Module, told: str = "") -> bytes:
    """Return a network as an ONNX file.

    Its input is ``images``, shape (N, 1, 28, 28) with any N, float32; its output is ``logits``, shape (N, 10).

    Parameters
    ----------
    module
        On the CPU, float32, in evaluation mode.
    told
        What the file says of the network.

    Raises
    ------
    CannotWriteONNX
        If the packages are missing, or PyTorch cannot follow the network's code.
    """
    if not can_write_onnx():
        raise CannotWriteONNX(HOW_TO_INSTALL)
    two = torch.zeros(2, *IMAGE_SHAPE)  # of one image, PyTorch would take the number for a fixed one
    try:
        with warnings.catch_warnings(action="ignore"):  # of PyTorch's own code, about PyTorch's own code
            program = torch.onnx.export(
                module,
                (two,),
                input_names=["images"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("N")},),
                dynamo=True,
                verbose=False,
            )
        assert program is not None  # it is where no file is named
        for node in program.model.graph:
            node.metadata_props.clear()  # where the code lies on this machine
        program.model.doc_string = told
        return program.model_proto.SerializeToString()
    except Exception as error:  # it runs the network's code, which is anybody's
        first_line = str(error).strip().partition("\n")[0]
        raise CannotWriteONNX(f"PyTorch cannot write this network as ONNX ({first_line}).") from error


def run_as_onnx(run: Run) -> bytes:
    """Return a run's network with its newest weights as an ONNX file.

    Raises
    ------
    NoPredictions, DamagedRun
        As `cnnlab.inference.networks.newest_network_of` does.
    CannotWriteONNX
        As `as_onnx` does.
    """
    told = f"{run.title}, trained by CNN Lab as {run.name}. Images hold numbers from 0, paper, to 1, ink."
    return as_onnx(newest_network_of(run).module, told)


def run_as_onnx_elsewhere(run: Run) -> bytes:
    """Return the same file, written by a process of its own: PyTorch's exporter would hold up all pages for seconds.

    Raises
    ------
    CannotWriteONNX
        If that process could not write it.
    """
    with _one_at_a_time, TemporaryDirectory() as folder:
        path, errors_path = Path(folder, f"network{SUFFIX}"), Path(folder, "errors.txt")
        with errors_path.open("wb") as errors:
            process = start_python(
                *("-m", "cnnlab", "export", run.id, str(path)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        try:
            process.wait(_MOST_SECONDS)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.wait()
            raise CannotWriteONNX(f"{run.name} was not written as ONNX within {_MOST_SECONDS} s.") from error
        if process.returncode or not path.exists():
            lines = errors_path.read_text(encoding="utf-8", errors="replace").splitlines()
            raise CannotWriteONNX(lines[-1].removeprefix("Error: ") if lines else f"{run.name} was not written.")
        return path.read_bytes()
