"""What is looked at in the files of a run before it is taken in."""

import io
import json
import math
import zipfile
from copy import deepcopy
from dataclasses import asdict, replace
from itertools import islice

import pytest
import torch
from archives import CONFIG, Malicious, files_of, refuse, stopped_run, zipped
from safetensors.torch import save

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.models.sources import read_definition
from cnnlab.runs.folder import FORMAT
from cnnlab.runs.log import Status, line_of
from cnnlab.runs.queue import enqueue
from cnnlab.runs.shelf import create_run
from cnnlab.runs.transfer import importing
from cnnlab.runs.transfer.archive import export_run, import_run
from cnnlab.runs.writer import RunFinished, RunWriter
from cnnlab.storage.checksums import is_whole_tensors, origin_of, sealed, sealed_tensors
from cnnlab.training.events import BatchEvent, EpochEvent
from cnnlab.training.loop import train
from cnnlab.training.optimizers import OPTIMIZERS
from cnnlab.training.recipe import TrainingConfig
from cnnlab.training.state import TrainingState


def told_of(event):
    """Return an epoch as the log tells it."""
    return {name: value for name, value in asdict(event).items() if value is not None}


def test_files_of_an_earlier_version_get_their_sums(run):
    files = files_of(export_run(run))
    manifest = json.loads(files["run.json"])
    del manifest["sha256"]
    changed = {"run.json": json.dumps(manifest).encode(), "weights.safetensors": save(run.load_weights())}
    imported = import_run(zipped(files | changed))
    assert files_of(export_run(imported))["run.json"] == files["run.json"]
    assert is_whole_tensors(imported.read_weights())
    assert origin_of(imported.read_weights()) == {"run": run.identity}
    assert all(torch.equal(tensor, run.load_weights()[name]) for name, tensor in imported.load_weights().items())


def test_with_its_checkpoint_an_imported_run_goes_on(run):
    imported = import_run(export_run(run, checkpoint=True))
    assert imported.can_resume
    enqueue(imported)
    assert imported.load_checkpoint()["position"]["step"] == 3


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_checkpoint_of_any_optimizer_can_be_imported(optimizer, steps, mnist):
    config = replace(CONFIG, optimizer=optimizer, batch_size=100)
    made = create_run(DEFINITIONS["sequential"], config)
    state = TrainingState(DEFINITIONS["sequential"].build(0), config)
    with RunWriter.claim(made) as writer:
        for event in islice(train(state.model, mnist, config, state), steps):
            writer.append_training(event)
        writer.save(state, weights=False)
    assert import_run(export_run(made, checkpoint=True)).has_checkpoint


def test_a_checkpoint_between_an_epochs_last_step_and_its_end_can_be_imported(run):
    checkpoint = run.load_checkpoint()
    checkpoint["position"] |= {"epoch": 1, "batch": 2, "step": 2}
    files = files_of(export_run(run, checkpoint=True)) | {"checkpoint.pt": saved(checkpoint)}
    assert import_run(zipped(files)).can_resume


def test_without_one_it_says_so(run):
    imported = import_run(export_run(run))
    assert not imported.can_resume
    with pytest.raises(RunFinished, match="without a checkpoint"):
        enqueue(imported)


def test_without_one_it_says_so_also_after_a_single_step_and_before_that_it_needs_none():
    run = create_run(DEFINITIONS["module"], TrainingConfig(threads=1))
    assert not import_run(export_run(run)).has_no_checkpoint
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        writer.append_training(BatchEvent(1, 1, 2.25, 0.1))
        writer.stopped()
    assert import_run(export_run(run)).has_no_checkpoint


@pytest.mark.parametrize("event", ["queued", "starting", "started"])
def test_a_run_that_has_not_ended_is_imported_as_interrupted_and_waits_for_nobody(event, run):
    with RunWriter.claim(run) as writer:
        writer.append(event, step=3, place=1)
        content = export_run(run, checkpoint=True)
    imported = import_run(content)
    assert imported.status is Status.INTERRUPTED
    assert imported.can_resume


@pytest.mark.parametrize("name", ["run.json", "name.txt", "events.jsonl"])
def test_a_missing_file_is_named(name, run):
    files = files_of(export_run(run))
    del files[name]
    refuse(zipped(files), f"its {name} is damaged")


@pytest.mark.parametrize(
    "line",
    [
        {"event": "batch", "step": 1, "loss": 1.0, "seconds": 1.0},  # a step that was told before
        {"event": "batch", "step": 4, "loss": float("nan"), "seconds": 1.0},
        {"event": "batch", "step": "4", "loss": 1.0, "seconds": 1.0},
        {"event": "batch", "step": 10**30, "loss": 1.0, "seconds": 1.0},
        {"event": "batch", "step": 4, "loss": -1.0, "seconds": 1.0},
        {"event": "batch", "step": 4, "loss": 1.0, "seconds": float("inf")},
        {"event": "batch", "step": 4, "loss": 1.0, "seconds": True},
        {"event": "started", "step": -1},
        {"event": "started", "step": 3, "kernels_reason": ["none"]},
        {"event": "stopped", "reason": 3},
        {"event": "epoch"},
        {"event": "epoch", **told_of(EpochEvent(2, 4, 1.0, 1.0, 9.98, 1.0, 1.0))},
        {"event": "epoch", **told_of(EpochEvent(0, 0, 1.0, 1.0, 0.9, 1.0, 1.0))},
        {"event": "epoch", **told_of(EpochEvent(2, 4, 1.0, 1.0, float("inf"), 1.0, 1.0))},
        {"event": "epoch", **told_of(EpochEvent("2", 4, 1.0, 1.0, 1.0, 1.0, 1.0))},
        {"event": "failed", "reason": "x" * 100_000},
        ["event"],
    ],
)
def test_a_log_that_says_what_cannot_be_is_refused(line, run):
    files = files_of(export_run(run))
    written = line_of(line) if isinstance(line, dict) else json.dumps(line).encode() + b"\n"
    refuse(zipped(files | {"events.jsonl": files["events.jsonl"] + written}), "events.jsonl")


@pytest.mark.parametrize(
    "line",
    [
        {"event": "batch", "step": 5, "loss": 1.0, "seconds": 1.0},
        {"event": "epoch", **told_of(EpochEvent(3, 4, 1.0, 1.0, 1.0, 1.0, 1.0))},
    ],
)
def test_a_log_that_goes_on_after_its_recipes_end_is_refused(line, run):
    files = files_of(export_run(run))
    refuse(zipped(files | {"events.jsonl": files["events.jsonl"] + line_of(line)}), "longer")


@pytest.mark.parametrize(
    "change",
    [
        lambda weights: weights | {"extra": torch.zeros(3)},
        lambda weights: {name: tensor for name, tensor in weights.items() if name != "0.bias"},
        lambda weights: weights | {"0.bias": torch.zeros(9)},
        lambda weights: weights | {"0.bias": torch.zeros(8, dtype=torch.float64)},
        lambda weights: weights | {"0.bias": torch.full((8,), float("nan"))},
    ],
)
def test_weights_that_are_not_the_definitions_are_refused(change, run):
    files = files_of(export_run(run))
    refuse(zipped(files | {"weights.safetensors": save(change(run.load_weights()))}), "its weights")


def test_a_network_that_is_not_here_and_cannot_be_read_is_refused(run):
    files = files_of(export_run(run))
    manifest = json.loads(files["run.json"])
    del manifest["sha256"]
    changed = manifest | {"source": "def mine():\n    return open('secret')"}
    refuse(zipped(files | {"run.json": json.dumps(changed).encode()}), "Line 2: this is not understood")


def test_a_network_of_ones_own_comes_with_its_run():
    definition = read_definition("Rows", "nn.Sequential(nn.Flatten(), nn.Linear(784, 10))")
    run = create_run(definition, TrainingConfig(epochs=1, threads=1))
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        writer.save_weights(definition.build(3).state_dict(), 0)
        writer.stopped()
    imported = import_run(export_run(run))
    assert (imported.model, imported.title, imported.source) == ("Rows", "Rows", definition.source)
    assert isinstance(imported.definition.build(0), torch.nn.Sequential)


def saved(checkpoint):
    content = io.BytesIO()
    torch.save(checkpoint, content)
    return content.getvalue()


def with_memory(checkpoint, tensor):
    """Return the optimizer's state with another tensor in the place of what it remembers of the gradients."""
    optimizer = deepcopy(checkpoint["optimizer"])
    (memory,) = optimizer["state"].values()
    (name,) = (name for name, found in memory.items() if found.shape == (29_322,) and "momentum" in name)
    memory[name] = tensor
    return optimizer


def with_setting(checkpoint, name, value):
    optimizer = deepcopy(checkpoint["optimizer"])
    optimizer["param_groups"][0][name] = value
    return optimizer


@pytest.mark.parametrize(
    "change",
    [
        lambda checkpoint: {},
        lambda checkpoint: [checkpoint],
        lambda checkpoint: checkpoint | {"model": {"0.bias": 3}},
        lambda checkpoint: checkpoint | {"position": checkpoint["position"] | {"step": 4}},
        lambda checkpoint: checkpoint | {"position": checkpoint["position"] | {"epoch": "2"}},
        lambda checkpoint: checkpoint | {"optimizer": {"state": {}, "param_groups": []}},
        lambda checkpoint: checkpoint | {"rng": {"cpu": torch.zeros(3)}},
        lambda checkpoint: checkpoint | {"optimizer": with_memory(checkpoint, torch.zeros(1).expand(29_322))},
        lambda checkpoint: checkpoint | {"optimizer": with_memory(checkpoint, torch.zeros(29_321))},
        lambda checkpoint: checkpoint | {"optimizer": with_memory(checkpoint, torch.full((29_322,), math.nan))},
        lambda checkpoint: checkpoint | {"optimizer": with_setting(checkpoint, "foreach", "yes")},
        lambda checkpoint: checkpoint | {"optimizer": with_setting(checkpoint, "more", [0] * 1_000)},
        lambda checkpoint: checkpoint | {"position": checkpoint["position"] | {"seconds": math.inf}},
        lambda checkpoint: checkpoint | {"position": checkpoint["position"] | {"epoch": 3, "batch": -1}},
    ],
)
def test_a_checkpoint_that_training_cannot_go_on_from_is_refused(change, run):
    files = files_of(export_run(run, checkpoint=True))
    refuse(zipped(files | {"checkpoint.pt": saved(change(run.load_checkpoint()))}), "its checkpoint|its weights")


@pytest.mark.parametrize("content", [b"", b"nonsense", saved(Malicious())])
def test_a_checkpoint_that_is_none_or_would_call_something_is_refused(content, run, capsys):
    refuse(zipped(files_of(export_run(run)) | {"checkpoint.pt": content}), r"its checkpoint\.pt is damaged")
    assert capsys.readouterr().out == ""


def test_a_checkpoint_leaves_the_random_numbers_of_this_process_alone(run):
    content = export_run(run, checkpoint=True)
    before = torch.get_rng_state()
    import_run(content)
    assert torch.equal(torch.get_rng_state(), before)


def manifest_with(files, **changes):
    manifest = json.loads(files["run.json"])
    del manifest["sha256"]
    return {"run.json": json.dumps(sealed(manifest | changes)).encode()}


def test_an_archive_of_a_newer_version_is_said_to_be_one(run):
    files = files_of(export_run(run))
    refuse(zipped(files | manifest_with(files, format=FORMAT + 1)), "made by a newer version of the lab")


def test_weights_and_a_checkpoint_of_another_run_are_refused(run):
    files = files_of(export_run(run, checkpoint=True))
    other = files_of(export_run(stopped_run("Other", seed=1), checkpoint=True))
    for name in ("weights.safetensors", "checkpoint.pt"):
        refuse(zipped(files | {name: other[name]}), f"its {name} is damaged")


def test_a_log_of_more_lines_than_any_run_has_is_refused_before_it_is_read(run, monkeypatch):
    content = export_run(run)
    lines = len(run.log_path.read_bytes().splitlines())
    monkeypatch.setattr(importing, "_MOST_LINES", lines - 1)
    refuse(content, r"events\.jsonl is damaged")
    monkeypatch.setattr(importing, "_MOST_LINES", lines)
    assert import_run(content).history().batches.equals(run.history().batches)


def test_a_log_may_have_two_lines_for_each_step_ten_for_each_epoch_and_ten_thousand(run):
    files = files_of(export_run(run))
    more = 2 * run.total_steps + 10 * CONFIG.epochs + 10_000 - files["events.jsonl"].count(b"\n")
    assert (run.total_steps, CONFIG.epochs) == (4, 2)
    full = files["events.jsonl"] + more * line_of({"event": "starting"})
    assert import_run(zipped(files | {"events.jsonl": full})).history().step == 3
    refuse(zipped(files | {"events.jsonl": full + line_of({"event": "starting"})}), r"events\.jsonl is damaged")


def test_weights_of_very_many_tensors_are_refused_before_they_are_read(run):
    header = json.dumps(
        {f"{number:06}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for number in range(9_000)}
    )
    content = len(header).to_bytes(8, "little") + header.encode()
    refuse(zipped(files_of(export_run(run)) | {"weights.safetensors": content}), r"weights\.safetensors is damaged")


def test_a_checkpoint_of_very_many_parts_is_refused_before_it_is_read(run):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for number in range(10_001):
            file.writestr(f"archive/data/{number}", b"")
    refuse(zipped(files_of(export_run(run)) | {"checkpoint.pt": content.getvalue()}), r"checkpoint\.pt is damaged")


@pytest.mark.parametrize("step", ["abc", "-7", "99999999999999999999", "\u0663"])
def test_weights_of_a_step_that_cannot_be_are_refused(run, step):
    files = files_of(export_run(run))
    weights = sealed_tensors(run.load_weights(), run=run.identity, step=step)
    refuse(zipped(files | {"weights.safetensors": weights}), "of a step that its recipe does not have")


def test_a_run_whose_accuracy_on_pen_digits_was_measured_after_its_last_epoch_alone_is_imported(run):
    enqueue(run)
    with RunWriter.claim(run) as writer:
        writer.append_training(BatchEvent(4, 2, 0.4, 0.4))
        writer.append_training(EpochEvent(2, 4, 0.45, 0.3, 0.9, 0.2, 300_000.0, pen_accuracy=0.8))
        writer.stopped()
    imported = import_run(export_run(run))
    assert [event.pen_accuracy for event in imported.epochs()] == [None, 0.8]


@pytest.mark.parametrize(
    ("found", "is_like"),
    [
        ([1.5, "other"], True),
        ([1.5], False),
        ([1.5, "a", "b"], False),
        ([float("nan"), "a"], False),
        ([1, "a"], False),
        ((1.5, "a"), False),
    ],
)
def test_a_list_in_a_checkpoint_is_as_long_as_it_should_be_of_the_same_types_and_of_sound_numbers(found, is_like):
    assert importing._is_like(found, [0.5, "a"]) == is_like
