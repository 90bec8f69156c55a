import io
import json
import math
import stat
import tracemalloc
import zipfile
from copy import deepcopy
from dataclasses import asdict, replace
from itertools import islice

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from cnnlab.errors import LabError
from cnnlab.inference.test_set import predictions_of
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.models.sources import read_definition
from cnnlab.runs.folder import EXPORTED_FILES, FORMAT
from cnnlab.runs.log import Status, line_of
from cnnlab.runs.queue import enqueue
from cnnlab.runs.shelf import all_runs, create_run, delete_run, reference_runs
from cnnlab.runs.snapshots import kept_steps, read_snapshot, why_no_film
from cnnlab.runs.transfer import archive, importing
from cnnlab.runs.transfer.archive import RefusedArchive, export_run, files_as_they_are, import_run
from cnnlab.runs.writer import RunFinished, RunWriter
from cnnlab.storage.checksums import is_whole_tensors, origin_of, sealed, sealed_tensors, unsealed
from cnnlab.training.events import BatchEvent, EpochEvent
from cnnlab.training.loop import train
from cnnlab.training.optimizers import OPTIMIZERS
from cnnlab.training.recipe import TrainingConfig
from cnnlab.training.state import TrainingState

CONFIG = TrainingConfig(epochs=2, threads=1, batch_size=30_000)


@pytest.fixture
def run():
    """Return a run that was stopped in its second epoch."""
    made = create_run(DEFINITIONS["sequential"], CONFIG, "Mine")
    state = TrainingState(DEFINITIONS["sequential"].build(0), CONFIG)
    state.optimizer.step()
    state.epoch, state.batch, state.step = 2, 1, 3
    with RunWriter.claim(made) as writer:
        writer.started(step=0, device="cpu")
        for step in (1, 2):
            writer.append_training(BatchEvent(step, 1, 2 / step, 0.1 * step))
        writer.append_training(EpochEvent(1, 2, 1.5, 0.3, 0.9, 0.2, 300_000.0))
        writer.append_training(BatchEvent(3, 2, 0.5, 0.3))
        writer.save(state, weights=True)
        writer.stopped()
    return made


def told_of(event):
    """Return an epoch as the log tells it."""
    return {name: value for name, value in asdict(event).items() if value is not None}


def files_of(content):
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return {name: file.read(name) for name in file.namelist()}


def zipped(files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, each in files.items():
            file.writestr(name, each)
    return content.getvalue()


def refuse(content, words=""):
    """See that an archive is refused, and that nothing of it is left anywhere."""
    before = everything()
    with pytest.raises(RefusedArchive, match=words):
        import_run(content)
    assert everything() == before


def everything():
    from cnnlab.storage.home import home

    return {path: path.read_bytes() if path.is_file() else None for path in home().parent.rglob("*")}


@pytest.mark.slow
def test_an_imported_run_is_a_new_one_that_tells_the_same(run):
    imported = import_run(export_run(run))
    assert imported.id > run.id
    assert [each.id for each in all_runs()] == [imported.id, run.id]
    for name in ("model", "config", "source", "created", "status"):
        assert getattr(imported, name) == getattr(run, name)
    assert imported.name == f"{run.name} (imported)"
    assert imported.history().batches.equals(run.history().batches)
    assert imported.last_epoch() == run.last_epoch()
    assert (predictions_of(imported).answers == predictions_of(run).answers).all()
    assert imported.damage() is None


def test_a_reference_run_can_be_taken_along():
    (reference, *_) = reference_runs()
    imported = import_run(export_run(reference))
    assert imported.status is Status.FINISHED
    assert imported.history().epochs.equals(reference.history().epochs)
    assert not imported.is_reference


def test_an_archive_that_was_unpacked_and_packed_again_is_read(run):
    files = files_of(export_run(run))
    beside = {f"__MACOSX/mine/._{name}": b"\0" for name in files} | {"mine/.DS_Store": b"\0", "mine/Thumbs.db": b"\0"}
    packed_again = zipped({"mine/": b"", **{f"mine/{name}": content for name, content in files.items()}, **beside})
    imported = import_run(packed_again)
    assert imported.history().batches.equals(run.history().batches)
    assert imported.read_weights() == run.read_weights()


def test_two_folders_or_files_beside_one_are_no_run(run):
    files = files_of(export_run(run))
    refuse(zipped({f"{'ab'[place % 2]}/{name}": files[name] for place, name in enumerate(files)}), "no run has")
    refuse(zipped({"run.json": b"{}", **{f"mine/{name}": content for name, content in files.items()}}), "no run has")
    refuse(zipped({f"mine/deeper/{name}": content for name, content in files.items()}), "no run has")


@pytest.mark.slow
def test_one_import_knows_nothing_of_the_one_before():
    archives = [export_run(run) for run in reference_runs()]
    for content, run in zip([*archives, *archives], [*reference_runs(), *reference_runs()], strict=True):
        assert import_run(content).history().batches.equals(run.history().batches)


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


def test_an_archive_of_the_same_run_is_the_same_byte_for_byte(run):
    assert export_run(run) == export_run(run)
    assert set(files_of(export_run(run))) == set(EXPORTED_FILES) - {"checkpoint.pt", "start.safetensors"}


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


def test_a_line_that_is_being_written_is_left_out(run):
    with run.log_path.open("a") as log:
        log.write('{"event": "batch", "st')
    assert files_of(export_run(run))["events.jsonl"].endswith(b"\n")


@pytest.mark.parametrize("content", [b"", b"PK", b"nonsense" * 100, zipped({})[:-1]])
def test_what_is_no_archive_is_refused(content):
    refuse(content, "no archive of a run")


@pytest.mark.parametrize(
    "name", ["../run.json", "/etc/passwd", "a/run.json", "run.json/", "..\\run.json", "C:\\x", "stop"]
)
def test_a_file_that_no_run_has_is_refused(name, run):
    refuse(zipped(files_of(export_run(run)) | {name: b"{}"}), "which no run has|damaged")


def test_a_file_that_is_there_twice_is_refused(run):
    content = io.BytesIO(zipped({"run.json": b"{}"}))
    with zipfile.ZipFile(content, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("run.json", b"{}")
    refuse(content.getvalue(), "twice")


def test_an_encrypted_file_is_refused(run):
    content = bytearray(zipped({"run.json": b"{}"}))
    content[6] |= 1  # where the file begins
    content[content.index(b"PK\x01\x02") + 8] |= 1  # and in the list of files
    refuse(bytes(content), "a link, encrypted, or packed")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFDIR, stat.S_IFCHR])
def test_a_link_or_another_special_file_is_refused(kind, run):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        entry = zipfile.ZipInfo("run.json")
        entry.external_attr = (kind | 0o777) << 16
        file.writestr(entry, "/etc/passwd")
    refuse(content.getvalue(), "a link, encrypted, or packed")


def test_a_run_that_is_larger_than_what_can_be_imported_is_not_exported(run, monkeypatch):
    monkeypatch.setattr(archive, "_MOST_UNPACKED_BYTES", 1_000)
    with pytest.raises(RefusedArchive, match="Mine has 0 MB; an archive holds at most 0 MB"):
        export_run(run)


def test_a_run_exactly_as_large_as_that_is_exported(run, monkeypatch):
    size = sum(map(len, files_of(export_run(run)).values()))
    monkeypatch.setattr(archive, "_MOST_UNPACKED_BYTES", size)
    assert export_run(run)
    monkeypatch.setattr(archive, "_MOST_UNPACKED_BYTES", size - 1)
    with pytest.raises(RefusedArchive):
        export_run(run)


def test_the_files_of_an_archive_are_of_the_first_day_that_an_archive_can_name(run):
    with zipfile.ZipFile(io.BytesIO(export_run(run))) as file:
        assert {entry.date_time for entry in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_another_way_to_pack_is_refused(method):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as file:
        file.writestr("run.json", "{}")
    refuse(content.getvalue(), "a link, encrypted, or packed")


@pytest.mark.slow
def test_a_gigabyte_of_zeros_is_refused_before_it_is_unpacked(run):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file, file.open("events.jsonl", "w") as bomb:
        for _ in range(1_000):
            bomb.write(bytes(1_000_000))
    tracemalloc.start()
    refuse(content.getvalue(), "events.jsonl in this archive has over 70 MB")
    assert tracemalloc.get_traced_memory()[1] < 200_000_000
    tracemalloc.stop()


def test_a_bomb_that_says_it_is_small_is_refused(run):
    content = bytearray(zipped({"run.json": bytes(1_000_000)}))
    place = content.rindex(b"PK\1\2")
    content[place + 24 : place + 28] = (10).to_bytes(4, "little")
    refuse(bytes(content), "damaged")


def test_very_many_files_are_refused_before_they_are_listed(monkeypatch):
    content = zipped({f"{number}": b"" for number in range(20_000)})
    monkeypatch.setattr(archive.zipfile, "ZipFile", None)  # nothing is listed
    refuse(content, "lists 20,000 files")


@pytest.mark.slow
def test_the_form_of_archives_with_more_than_65535_files_is_refused(monkeypatch):
    content = zipped({f"{number}": b"" for number in range(70_000)})
    monkeypatch.setattr(archive.zipfile, "ZipFile", None)
    refuse(content, "no archive of a run")


def test_that_form_is_refused_also_where_the_archive_says_that_it_has_few(run):
    content = export_run(run)
    assert content[-22:-18] == b"PK\5\6"
    refuse(content[:-22] + b"PK\6\7" + bytes(16) + content[-22:], "no archive of a run")


def test_too_many_bytes_are_refused(monkeypatch, run):
    monkeypatch.setattr(archive, "MOST_BYTES", 1_000)
    refuse(export_run(run), "at most 0 MB are read")


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


class Malicious:
    def __reduce__(self):
        return print, ("this must not be called",)


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


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bits=st.integers(1, 255), cut=st.booleans())
def test_an_archive_with_any_byte_changed_is_refused_or_the_same_run(run, place, bits, cut):
    content = bytearray(export_run(run))
    index = int(place * len(content))
    if cut:
        del content[index:]
    else:
        content[index] ^= bits
    before = everything()
    try:
        imported = import_run(bytes(content))
    except LabError:
        assert everything() == before
        return
    assert imported.history().batches.equals(run.history().batches)
    weights = run.load_weights()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in imported.load_weights().items())
    delete_run(imported)


def manifest_with(files, **changes):
    manifest = json.loads(files["run.json"])
    del manifest["sha256"]
    return {"run.json": json.dumps(sealed(manifest | changes)).encode()}


def test_an_archive_of_a_newer_version_is_said_to_be_one(run):
    files = files_of(export_run(run))
    refuse(zipped(files | manifest_with(files, format=FORMAT + 1)), "made by a newer version of the lab")


def test_weights_and_a_checkpoint_of_another_run_are_refused(run):
    files = files_of(export_run(run, checkpoint=True))
    other = files_of(export_run(reference_like(run), checkpoint=True))
    for name in ("weights.safetensors", "checkpoint.pt"):
        refuse(zipped(files | {name: other[name]}), f"its {name} is damaged")


def reference_like(run):
    """Return a run of the same recipe, stopped in the same place."""
    made = create_run(DEFINITIONS["sequential"], CONFIG, "Other")
    state = TrainingState(DEFINITIONS["sequential"].build(1), CONFIG)
    state.optimizer.step()
    state.epoch, state.batch, state.step = 2, 1, 3
    with RunWriter.claim(made) as writer:
        writer.started(step=0, device="cpu")
        writer.append_training(BatchEvent(3, 2, 0.5, 0.3))
        writer.save(state, weights=True)
        writer.stopped()
    return made


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.json", b" " * 1_000_001),
        ("name.txt", b"x" * 10_001),
        ("weights.safetensors", bytes(20_000_001)),
        ("checkpoint.pt", bytes(40_000_001)),
    ],
)
def test_a_file_larger_than_any_run_has_is_refused(name, content, run):
    refuse(zipped(files_of(export_run(run)) | {name: content}), f"{name} in this archive has over")


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


def test_the_files_of_a_run_that_cannot_be_read_come_along_as_they_are(run):
    run.manifest_path.write_bytes(b"nonsense")
    (run.folder / "new-kind").write_bytes(b"of file")
    files = files_of(files_as_they_are(run.id))
    assert (files["run.json"], files["new-kind"]) == (b"nonsense", b"of file")
    assert files["events.jsonl"] == run.log_path.read_bytes()


@pytest.fixture
def filmed(run):
    """Return the run with snapshots of its first and its third step."""
    state = DEFINITIONS["sequential"].build(0).state_dict()
    with RunWriter.claim(run) as writer:
        writer.save_snapshot(state, 1)
        writer.save_snapshot({name: tensor + 1 for name, tensor in state.items()}, 3)
    return run


def test_snapshots_come_along_if_asked_for(filmed):
    imported = import_run(export_run(filmed, snapshots=True))
    assert kept_steps(imported) == [1, 3]
    assert all(read_snapshot(imported, step) == read_snapshot(filmed, step) for step in (1, 3))
    without = import_run(export_run(filmed))
    assert kept_steps(without) == []
    assert "only if they are asked for" in why_no_film(without)


def test_an_archive_with_snapshots_is_imported_when_it_was_packed_again_with_folders(filmed):
    files = files_of(export_run(filmed, snapshots=True))
    packed_again = {"mine/": b"", "mine/snapshots/": b""} | {f"mine/{name}": each for name, each in files.items()}
    assert kept_steps(import_run(zipped(packed_again))) == [1, 3]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("snapshots/3.safetensors", lambda whole: whole[:-1], "snapshots are not those that a run keeps"),
        ("snapshots/2.safetensors", lambda whole: whole, "2.safetensors is damaged"),
        ("snapshots/03.safetensors", lambda whole: whole, "'snapshots/03.safetensors', which no run has"),
        ("snapshots/../name.txt", lambda whole: whole, "which no run has"),
        ("snapshots/x/3.safetensors", lambda whole: whole, "which no run has"),
    ],
)
def test_a_snapshot_that_is_not_the_runs_own_is_refused(filmed, name, content, words):
    files = files_of(export_run(filmed, snapshots=True))
    refuse(zipped(files | {name: content(files["snapshots/3.safetensors"])}), words)


def test_a_snapshot_of_another_network_or_of_a_later_step_is_refused(filmed):
    files = files_of(export_run(filmed, snapshots=True))
    name = "snapshots/3.safetensors"
    other = sealed_tensors({"weight": torch.zeros(3)}, run=filmed.identity, step="3")
    refuse(zipped(files | {name: other}), "its weights are not those of")
    later = sealed_tensors(DEFINITIONS["sequential"].build(0).state_dict(), run=filmed.identity, step="4")
    refuse(zipped(files | {"snapshots/4.safetensors": later}), "of a later step than its log's last")


@pytest.mark.parametrize("step", ["abc", "-7", "99999999999999999999", "\u0663"])
def test_weights_of_a_step_that_cannot_be_are_refused(run, step):
    files = files_of(export_run(run))
    weights = sealed_tensors(run.load_weights(), run=run.identity, step=step)
    refuse(zipped(files | {"weights.safetensors": weights}), "of a step that its recipe does not have")


@pytest.mark.parametrize("snapshots", [-5, 101, 10**30])
def test_a_number_of_snapshots_that_no_run_keeps_is_refused(snapshots):
    run = create_run(DEFINITIONS["sequential"], CONFIG)
    manifest = {**unsealed(json.loads(run.manifest_path.read_text())), "snapshots": snapshots}
    refuse(zipped(files_of(export_run(run)) | {"run.json": json.dumps(sealed(manifest))}), "more snapshots")


def test_a_snapshot_that_the_log_does_not_reach_is_left_out(filmed):
    with RunWriter.claim(filmed) as writer:
        writer.save_snapshot(DEFINITIONS["sequential"].build(0).state_dict(), 4)
    assert kept_steps(import_run(export_run(filmed, snapshots=True))) == [1, 3]


def test_more_snapshots_than_a_run_keeps_are_refused(filmed, monkeypatch):
    monkeypatch.setattr(importing, "MOST_SNAPSHOTS", 1)
    refuse(export_run(filmed, snapshots=True), "more snapshots than a run keeps")


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
