import json
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, replace

import pytest
import torch

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs import log
from cnnlab.runs.folder import DamagedRun, NoSuchRun
from cnnlab.runs.log import Status
from cnnlab.runs.names import InvalidName
from cnnlab.runs.queue import enqueue
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import (
    all_runs,
    create_run,
    delete_run,
    find_run,
    reference_runs,
    remove_leftovers,
    unreadable_runs,
)
from cnnlab.runs.writer import RunBusy, RunFinished, RunWriter
from cnnlab.storage.checksums import sealed, unsealed
from cnnlab.training.events import BatchEvent, EpochEvent
from cnnlab.training.recipe import TrainingConfig
from cnnlab.training.state import TrainingState

CONFIG = TrainingConfig(epochs=3, seed=4, threads=2)


@pytest.fixture
def run():
    return create_run(DEFINITIONS["module"], CONFIG)


def write(run, *events):
    """Write lines to a run's log, as a worker would, and give the right to write it up."""
    with RunWriter.claim(run) as writer:
        for event in events:
            if isinstance(event, str):
                writer.append(event, **({"step": 0, "device": "cpu"} if event == "started" else {}))
            else:
                writer.append_training(event)


def batch(step):
    return BatchEvent(step=step, epoch=1, loss=1 / step, seconds=0.01 * step)


def epoch(number, step):
    return EpochEvent(number, step, 0.2, 0.1, 0.97, 5.0, 12_000.0)


def test_a_run_is_found_again_as_it_was_made(run):
    found = find_run(run.id)
    assert (found.model, found.config, found.name) == ("module", CONFIG, "nn.Module, seed 4")
    assert found.source == DEFINITIONS["module"].source


def test_newer_runs_come_first_also_when_the_clock_is_set_back(run, lab_home):
    later = lab_home / "runs" / "20991231-235959-998"
    run.folder.rename(later)
    newest = create_run(DEFINITIONS["module"], CONFIG)
    assert newest.id == "20991231-235959-999"
    assert [each.id for each in all_runs()] == [newest.id, later.name]


@pytest.mark.parametrize(
    "run_id", ["", "..", "../runs", "nope", "a/b", "\0", "2", "reference-none", "x" * 100_000, "٢" * 8]
)
def test_an_unknown_identifier_is_no_such_run(run_id, run):
    with pytest.raises(NoSuchRun, match="There is no run"):
        find_run(run_id)


def test_of_a_long_identifier_forty_letters_are_told():
    with pytest.raises(NoSuchRun, match=f"There is no run '{'x' * 40}' here"):
        find_run("x" * 40)
    with pytest.raises(NoSuchRun, match=f"There is no run '{'x' * 40}…' here"):
        find_run("x" * 41)


def test_a_run_has_no_step_and_no_time_left_before_it_trains_and_then_goes_on_at_its_last_speed(run):
    assert (run.history().step, run.seconds_left()) == (0, None)
    write(run, "started", batch(1))
    assert (run.history().step, run.seconds_left()) == (1, None)
    write(run, batch(2), batch(3))
    assert run.seconds_left() == pytest.approx((3 * 469 - 3) * 0.01)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"model": "module", "config": {"epochs": 0}}'])
def test_a_run_whose_run_json_is_damaged_is_named_and_left_out_of_the_list(content, run):
    (run.folder / "run.json").write_text(content)
    with pytest.raises(DamagedRun, match=rf"{run.id}.*run\.json"):
        find_run(run.id)
    assert all_runs() == []
    assert [(damage.run_id, damage.file, damage.is_sound) for damage in unreadable_runs()] == [
        (run.id, "run.json", False)
    ]


@pytest.mark.parametrize("change", [{"created": "2026-11-25"}, {"created": 3}, {"model": ["module"]}, {"source": 3}])
def test_a_run_json_that_says_what_cannot_be_is_damaged(change, run):
    path = run.folder / "run.json"
    path.write_text(json.dumps(sealed(unsealed(json.loads(path.read_text())) | change)))
    with pytest.raises(DamagedRun, match=r"run\.json"):
        find_run(run.id)


@pytest.mark.parametrize("name", ["name.txt", "events.jsonl"])
def test_a_run_one_of_whose_files_is_gone_is_damaged_also_where_it_was_read_before(name, run):
    assert find_run(run.id).name
    (run.folder / name).unlink()
    assert all_runs() == []
    assert [(damage.run_id, damage.file) for damage in unreadable_runs()] == [(run.id, name)]


@pytest.mark.slow
def test_a_manifest_with_any_byte_changed_is_found_out_or_the_same(run):
    path = run.folder / "run.json"
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with suppress(DamagedRun):
            found = Run(run.folder)
            assert (found.model, found.config, found.source) == (run.model, run.config, run.source)
            assert found.created == run.created


@pytest.mark.parametrize("line", ["nonsense", "[]", "{}", '{"event": 3}', "[" * 100_000, '{"event": "epoch"}'])
def test_a_log_with_a_line_that_is_none_is_damaged(line, run):
    write(run, "started", batch(1))
    with run.log_path.open("a") as log:
        log.write(f"{line}\n")
    damage = run.damage()
    assert damage is not None
    assert damage.file == "events.jsonl"
    with pytest.raises(DamagedRun):
        run.history()
    with pytest.raises(DamagedRun):
        enqueue(run)


@pytest.mark.parametrize("name", ["run.json", "events.jsonl"])
def test_a_file_that_is_a_folder_is_damage(name, run):
    (run.folder / name).unlink()
    (run.folder / name).mkdir()
    other = create_run(DEFINITIONS["module"], CONFIG)
    assert [each.id for each in all_runs()] == [other.id]
    assert [(damage.run_id, damage.file) for damage in unreadable_runs()] == [(run.id, name)]


def test_a_log_cut_anywhere_is_read_up_to_its_last_whole_line(run):
    write(run, "started", batch(1), batch(2), epoch(1, 2), "stopped")
    content = run.log_path.read_bytes()
    for length in range(len(content), -1, -1):
        run.log_path.write_bytes(content[:length])
        whole = [json.loads(line)["event"] for line in content[:length].split(b"\n")[:-1]]
        history = run.history()
        assert len(history.batches) == whole.count("batch")
        assert len(history.epochs) == whole.count("epoch")
        assert run.status is (Status.STOPPED if "stopped" in whole else Status.INTERRUPTED)
        assert run.damage() is None


@pytest.mark.parametrize("file", ["weights.safetensors", "checkpoint.pt"])
@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[:-1000] + bytes(8) + content[-992:]])
@pytest.mark.parametrize("last", ["stopped", "started"])
def test_a_run_with_a_damaged_file_is_named_and_neither_trained_nor_written_over(file, damage, last, run):
    write(run, last)
    with RunWriter.claim(run) as writer:
        writer.save(TrainingState(DEFINITIONS["module"].build(0), CONFIG), weights=True)
    path = run.folder / file
    path.write_bytes(damage(path.read_bytes()))
    before = {each.name: each.read_bytes() for each in run.folder.iterdir()}
    assert run.damage().file == file
    with pytest.raises(DamagedRun, match=file):
        enqueue(run)
    with pytest.raises(DamagedRun, match=file):
        run.load_weights() if file == "weights.safetensors" else run.load_checkpoint()
    assert {each.name: each.read_bytes() for each in run.folder.iterdir()} == before


def test_a_run_whose_files_are_whole_is_not_damaged(run):
    assert run.damage() is None
    with RunWriter.claim(run) as writer:
        writer.save(TrainingState(DEFINITIONS["module"].build(0), CONFIG), weights=True)
        writer.stopped()
    assert run.damage() is None
    assert all(each.damage() is None for each in reference_runs())


def test_a_run_can_be_renamed_and_keeps_its_name_on_a_bad_one(run):
    run.rename("  My <b>run</b> ")
    assert find_run(run.id).name == "My <b>run</b>"
    for bad in ("", "  ", "x" * 81, "two\nlines"):
        with pytest.raises(InvalidName, match="1 to 80 characters"):
            run.rename(bad)
    assert run.name == "My <b>run</b>"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("x" * 10_000, "x" * 80),
        ("two\nlines\t", "two\ufffdlines\ufffd"),
        ("\u202eback\u200f", "\ufffdback\ufffd"),
        ("👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"),
        ("", None),
    ],
)
def test_a_name_that_was_written_by_hand_is_shown_as_one_line(written, shown, run):
    (run.folder / "name.txt").write_text(written)
    assert run.name == (shown or run.id)


def test_a_name_can_have_emoji_and_no_mark_that_turns_the_direction_of_writing(run):
    run.rename("👨\u200d👩\u200d👧 семь")
    assert run.name == "👨\u200d👩\u200d👧 семь"
    with pytest.raises(InvalidName):
        run.rename("\u202eback")


@pytest.mark.parametrize(
    ("events", "status"),
    [
        (["queued"], Status.QUEUED),
        (["queued", "starting"], Status.INTERRUPTED),
        (["queued", "starting", "started", batch(1)], Status.INTERRUPTED),
        (["started", batch(1), "stopped"], Status.STOPPED),
        (["started", batch(1), "stopped", "queued"], Status.QUEUED),
        (["started", "finished"], Status.FINISHED),
        (["started", "failed"], Status.FAILED),
        (["started", "interrupted"], Status.INTERRUPTED),
    ],
)
def test_the_status_is_what_the_log_says(run, events, status):
    write(run, *events)
    assert run.status is status


def test_a_run_whose_log_is_held_is_running(run):
    write(run, "started", batch(1))
    with RunWriter.claim(run):
        assert run.status is Status.RUNNING
    assert run.status is Status.INTERRUPTED


@pytest.mark.slow
def test_a_run_has_one_writer(run):
    with RunWriter.claim(run), pytest.raises(RunBusy, match="is being trained"):
        RunWriter.claim(run)


@pytest.mark.parametrize(
    "action", [lambda run: run.rename("Another"), Run.request_stop, enqueue, delete_run, RunWriter.claim]
)
def test_an_action_on_a_run_that_was_deleted_that_moment_says_that_it_is_gone(action, run):
    shutil.rmtree(run.folder)
    with pytest.raises(NoSuchRun, match="is not here any more"):
        action(run)


def test_a_run_that_was_deleted_elsewhere_is_said_to_be_gone(run):
    delete_run(run)
    for look in (lambda: run.status, lambda: run.name, run.history, lambda: enqueue(run)):
        with pytest.raises(NoSuchRun, match="not here any more"):
            look()


def test_a_folder_that_is_no_run_is_left_alone(run, lab_home):
    (lab_home / "runs" / "backup").mkdir()
    create_run(DEFINITIONS["module"], CONFIG)
    assert len(all_runs()) == 2


@pytest.mark.slow
def test_a_run_that_trains_is_not_deleted(run):
    with RunWriter.claim(run), pytest.raises(RunBusy):
        delete_run(run)
    delete_run(run)
    assert all_runs() == []


def test_a_finished_run_is_not_queued_again(run):
    write(run, "started", "finished")
    with pytest.raises(RunFinished, match="nothing left to train"):
        enqueue(run)


def test_what_killed_processes_left_is_removed(run, lab_home):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = [lab_home / ".worker.x", lab_home / "runs" / ".20260101-000000-000", run.folder / ".checkpoint.pt"]
    left = [path.with_name(f"{path.name}.{ended.pid}.1") for path in left]
    for path in left:
        path.touch()
    remove_leftovers()
    assert not any(path.exists() for path in left)
    assert find_run(run.id).damage() is None


def test_there_is_space_for_the_line_that_ends_a_run(run):
    reserve = run.folder / "reserve"
    write(run, "started")
    assert reserve.stat().st_size >= 16_384
    write(run, "failed")
    assert not reserve.exists()


def test_the_history_is_what_was_logged_and_grows(run):
    write(run, "started", batch(1), batch(2))
    assert run.history().step == 2
    write(run, epoch(1, 2))
    history = run.history()
    assert history.batches["loss"].tolist() == [1.0, 0.5]
    (row,) = history.epochs.to_dict("records")
    unmeasured = dict.fromkeys(("validation_loss", "validation_accuracy", "pen_accuracy"))
    assert asdict(epoch(1, 2)) == {**row, **unmeasured}
    assert run.last_epoch() == epoch(1, 2)


def test_a_torn_last_line_is_neither_read_nor_kept(run):
    write(run, "started", batch(1))
    log = run.folder / "events.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole + b'{"event": "batch", "st')
    assert run.history().step == 1
    assert run.status is Status.INTERRUPTED
    write(run, batch(2))
    assert run.history().step == 2
    assert [json.loads(line)["event"] for line in log.read_text().splitlines()] == ["started", "batch", "batch"]


def test_an_unchanged_log_is_not_read_again_for_its_epochs(run, monkeypatch):
    write(run, "started", batch(1), epoch(1, 1))
    told = run.epochs()
    monkeypatch.setattr(log, "log_reader", None)
    assert run.epochs() == told == (epoch(1, 1),)


def test_an_epoch_is_told_again_where_training_goes_on_from_its_last_step(run):
    write(run, "started", batch(1), batch(2), epoch(1, 2))
    with RunWriter.claim(run) as writer:
        writer.started(step=2, device="cpu")
    again = replace(epoch(1, 2), seconds=6.0)
    write(run, again, batch(3), epoch(2, 3))
    assert run.damage() is None
    assert run.history().epochs["seconds"].tolist() == [6.0, 5.0]


def test_epochs_that_are_not_in_their_order_are_damage(run):
    write(run, "started", batch(1), epoch(2, 1), batch(2), epoch(1, 2))
    assert run.damage().file == "events.jsonl"


def test_what_came_after_the_checkpoint_is_forgotten_when_a_worker_goes_on(run):
    write(run, "started", batch(1), batch(2), epoch(1, 2), batch(3), epoch(2, 3))
    with RunWriter.claim(run) as writer:
        writer.started(step=2, device="cpu")
    history = run.history()
    assert history.batches["step"].tolist() == [1, 2]
    assert history.epochs["epoch"].tolist() == [1]


def test_a_long_reason_is_still_the_last_line(run):
    with RunWriter.claim(run) as writer:
        writer.failed(reason="x" * 20_000)
    assert run.status is Status.FAILED
    assert len(run.history().reason) == 20_000


def test_weights_and_checkpoint_come_back_as_they_were(run):
    assert run.load_weights() is None
    assert run.load_checkpoint() is None
    state = TrainingState(DEFINITIONS["module"].build(0), CONFIG)
    with RunWriter.claim(run) as writer:
        writer.save(state, weights=True)
    weights, checkpoint = run.load_weights(), run.load_checkpoint()
    for name, tensor in state.model.state_dict().items():
        assert torch.equal(weights[name], tensor)
        assert torch.equal(checkpoint["model"][name], tensor)
