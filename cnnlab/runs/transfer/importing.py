"""Runs from elsewhere, checked before they become runs of this lab."""

import json
import math
import shutil
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from safetensors.torch import load
from torch import Tensor

from cnnlab.errors import LabError
from cnnlab.models.definitions import Definition
from cnnlab.runs.folder import EXPORTED_FILES, EXPORTED_SNAPSHOT, MANIFEST, SNAPSHOTS, DamagedRun, runs_folder
from cnnlab.runs.log import Status, status_said_by
from cnnlab.runs.names import name_not_taken
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import all_runs, move_in, reference_runs, sign
from cnnlab.runs.snapshots import MOST_SNAPSHOTS, kept_steps, read_snapshot
from cnnlab.runs.writer import RunWriter
from cnnlab.storage.checksums import origin_of, sealed, sealed_tensors, unsealed
from cnnlab.storage.files import unfinished_path
from cnnlab.training.state import TrainingState

# Of a log, in bytes; the lab's own are much shorter.
_LONGEST_LINE = 65_536
# A thousand epochs of the tutorial's batches have 470,000.
_MOST_LINES = 500_000


class UnfitRun(LabError):
    """A run from elsewhere cannot be one of this lab."""


def adopt(files: dict[str, bytes], made_by: str | None = None) -> Run:
    """Create a run in the lab's home from untrusted files, with a name that none here has.

    Parameters
    ----------
    files
        As `cnnlab.runs.transfer.archive.exported_files` returns them.
    made_by
        The name of whoever brings it.

    Raises
    ------
    DamagedRun
        If one of them is missing, or not what the lab writes.
    UnfitRun
        If what they say is not of one run, or not of a network that is registered here.
    """
    folder = runs_folder()
    folder.mkdir(parents=True, exist_ok=True)
    # Never the same place twice: what was read in a place is remembered.
    unfinished = unfinished_path(folder / f"imported-{uuid4().hex}")
    unfinished.mkdir()
    try:
        (unfinished / SNAPSHOTS).mkdir()
        sign(unfinished, made_by)
        for name, content in files.items():
            if name in EXPORTED_FILES or EXPORTED_SNAPSHOT.fullmatch(name):
                (unfinished / name).write_bytes(content)
        run = _checked(Run(unfinished))
        _seal(run)
        _settle(run)
        run.rename(name_not_taken(run.name, _names_here()))
        return move_in(unfinished)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _names_here() -> set[str]:
    names = set()
    for run in (*all_runs(), *reference_runs()):
        with suppress(LabError):  # deleted just now
            names.add(run.name)
    return names


def _checked(run: Run) -> Run:
    """Return an imported run if everything in it is consistent and fits this lab.

    Raises
    ------
    DamagedRun, UnfitRun
        If it cannot.
    """
    with run.log_path.open("rb") as log:
        # Each step once, and again after a crash; and what is logged beside them.
        lines, most_lines = 0, min(_MOST_LINES, 2 * run.total_steps + 10 * run.config.epochs + 10_000)
        while line := log.readline(_LONGEST_LINE + 1):
            lines += 1
            if len(line) > _LONGEST_LINE or lines > most_lines:
                raise DamagedRun(run.log_path)
    try:
        definition = run.definition
    except LabError as error:
        raise UnfitRun(f"{error}.") from error
    history = run.history()
    told = history.epochs
    if "pen_accuracy" in told:
        told = told.fillna({"pen_accuracy": 0.0})  # it is not measured after each epoch
    numbers = told.to_numpy(dtype=float), history.batches.to_numpy(dtype=float)
    if not all(np.isfinite(each).all() for each in numbers):
        raise DamagedRun(run.log_path)
    epochs = told["epoch"]
    steps = [history.step, *history.learning_rates]
    if max(steps) > run.total_steps or not epochs.between(1, run.config.epochs).all():
        raise UnfitRun("its log is longer than its recipe allows.")
    if (weights := run.load_weights()) is not None:
        _require_fitting(weights, definition)
        step = origin_of(run.weights_path.read_bytes()).get("step", "0")
        if not (step.isascii() and step.isdecimal() and int(step) <= run.total_steps):
            raise UnfitRun("its weights are of a step that its recipe does not have.")
    if not 0 <= (run.snapshots or 0) <= MOST_SNAPSHOTS:
        raise UnfitRun("it is to keep more snapshots than a run keeps.")
    _require_film(run, definition, history.step)
    if (checkpoint := run.load_checkpoint()) is not None:
        _require_checkpoint(checkpoint, definition, run, history.step)
    if (start := run.load_start()) is not None:
        _require_fitting(start.weights, definition)
        if run.fine_tuning and run.fine_tuning.own_digits != len(start.own_digits):
            raise UnfitRun("it does not say on how many digits it was fine-tuned.")
    return run


def _require_fitting(weights: object, definition: Definition) -> None:
    """Check that weights have a definition's names, shapes and dtypes, and are finite."""
    expected = definition.build(seed=0).state_dict()
    unfit = UnfitRun(f"its weights are not those of {definition.title}.")
    if not isinstance(weights, dict) or weights.keys() != expected.keys():
        raise unfit
    for name, tensor in weights.items():
        like = expected[name]
        if not isinstance(tensor, Tensor) or (tensor.shape, tensor.dtype) != (like.shape, like.dtype):
            raise unfit
        if not tensor.isfinite().all():
            raise UnfitRun(f"its weights hold numbers in {name} that are infinite or none.")


def _require_film(run: Run, definition: Definition, steps_told: int) -> None:
    """Check that a run's snapshots are whole, its own, and of its network."""
    steps = kept_steps(run)
    if len(steps) < len(list(run.snapshots_folder.iterdir())) or len(steps) > MOST_SNAPSHOTS:
        raise UnfitRun("its snapshots are not those that a run keeps.")
    for step in steps:
        if step > steps_told:
            raise UnfitRun("one of its snapshots is of a later step than its log's last.")
        _require_fitting(load(read_snapshot(run, step)), definition)


def _require_checkpoint(checkpoint: Any, definition: Definition, run: Run, steps_told: int) -> None:
    """Check that training can resume from a checkpoint, by loading it into a throwaway network."""
    unfit = UnfitRun("its checkpoint is not one that its training can go on from.")
    try:
        _require_fitting(checkpoint["model"], definition)
        with torch.random.fork_rng(devices=[]):
            config = replace(run.config, device="cpu", threads=1, kernels="torch")
            state = TrainingState(definition.build(seed=0), config)
            if checkpoint["position"]["step"]:
                state.optimizer.step()  # which makes its memory
            new = state.state_dict()
            if not (
                _is_like(checkpoint["optimizer"]["state"], new["optimizer"]["state"])
                and _settings_in(checkpoint) == _settings_in(new)
                and _is_like(checkpoint["position"], new["position"])
            ):
                raise unfit
            state.load_state_dict(checkpoint)
        step = (state.epoch - 1) * run.steps_per_epoch + state.batch
        if not (state.epoch >= 1 and 0 <= state.batch <= run.steps_per_epoch and step == state.step <= steps_told):
            raise unfit
    except UnfitRun:
        raise
    except Exception as error:  # whatever a checkpoint that is none makes of the code that reads it
        raise unfit from error


def _is_like(found: Any, like: Any) -> bool:
    """Return whether two values have the same structure, names, types and shapes, and the first sound numbers."""
    if type(found) is not type(like):
        return False
    match like:
        case dict():
            return found.keys() == like.keys() and all(_is_like(found[name], like[name]) for name in like)
        case list() | tuple():
            return len(found) == len(like) and all(map(_is_like, found, like))
        case Tensor():
            is_alike = (found.shape, found.dtype, found.stride()) == (like.shape, like.dtype, like.stride())
            return is_alike and bool(found.isfinite().all())
        case float():
            return math.isfinite(found)
        case _:
            return True


def _settings_in(checkpoint: dict[str, Any]) -> list[dict[str, Any]]:
    """Return an optimizer's settings, without the learning rate, which every step sets."""
    groups = checkpoint["optimizer"]["param_groups"]
    return [{name: group[name] for name in group.keys() - {"lr"}} for group in groups]


def _seal(run: Run) -> None:
    """Add missing checksums to the files of a run that an earlier version of the lab wrote."""
    path = run.folder / MANIFEST
    manifest = unsealed(json.loads(path.read_text(encoding="utf-8")))
    path.write_text(json.dumps(sealed(manifest), indent=2) + "\n", encoding="utf-8")
    if (weights := run.load_weights()) is not None:
        origin = origin_of(run.weights_path.read_bytes())
        run.weights_path.write_bytes(sealed_tensors(weights, **({"run": run.identity} | origin)))


def _settle(run: Run) -> None:
    """End the log with the run's final status, so that it does not train before a person asks for it."""
    last = run.last_record() or {}
    status = status_said_by(last.get("event"))
    is_settled = status not in (None, Status.QUEUED)
    has_begun = run.history().step > 0
    with RunWriter.claim(run) as writer:
        writer.append(
            status if is_settled and status else Status.INTERRUPTED,
            reason=last.get("reason") if is_settled else "It was exported before it ended.",
            diverged=bool(last.get("diverged")),
            without_checkpoint=has_begun and status is not Status.FINISHED and not run.has_checkpoint,
        )
