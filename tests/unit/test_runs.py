import json
from dataclasses import asdict

import pytest
import torch

from cnnlab import runs
from cnnlab.models import DEFINITIONS
from cnnlab.runs import (
    DamagedRun,
    InvalidName,
    NoSuchRun,
    Run,
    RunBusy,
    RunFinished,
    RunWriter,
    Status,
    all_runs,
    find_run,
)
from cnnlab.training import BatchEvent, EpochEvent, TrainingConfig, TrainingState

CONFIG = TrainingConfig(epochs=3, seed=4, threads=2)


@pytest.fixture
def run():
    return Run.create(DEFINITIONS["module"], CONFIG)


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
    newest = Run.create(DEFINITIONS["module"], CONFIG)
    assert newest.id == "20991231-235959-999"
    assert [each.id for each in all_runs()] == [newest.id, later.name]


@pytest.mark.parametrize("run_id", ["", "..", "../runs", "nope", "a/b", "\0", "2", "reference-none"])
def test_an_unknown_identifier_is_no_such_run(run_id, run):
    with pytest.raises(NoSuchRun, match="There is no run"):
        find_run(run_id)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"model": "module", "config": {"epochs": 0}}'])
def test_a_run_whose_run_json_is_damaged_is_named_and_left_out_of_the_list(content, run):
    (run.folder / "run.json").write_text(content)
    with pytest.raises(DamagedRun, match=rf"{run.id}.*run\.json"):
        find_run(run.id)
    assert all_runs() == []


def test_a_run_can_be_renamed_and_keeps_its_name_on_a_bad_one(run):
    run.rename("  My <b>run</b> ")
    assert find_run(run.id).name == "My <b>run</b>"
    for bad in ("", "  ", "x" * 81, "two\nlines"):
        with pytest.raises(InvalidName, match="1 to 80 characters"):
            run.rename(bad)
    assert run.name == "My <b>run</b>"


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


def test_a_run_has_one_writer(run):
    with RunWriter.claim(run), pytest.raises(RunBusy, match="is being trained"):
        RunWriter.claim(run)


def test_a_run_that_was_deleted_elsewhere_is_said_to_be_gone(run):
    run.delete()
    for look in (lambda: run.status, lambda: run.name, run.history, run.enqueue):
        with pytest.raises(NoSuchRun, match="not here any more"):
            look()


def test_a_folder_that_is_no_run_is_left_alone(run, lab_home):
    (lab_home / "runs" / "backup").mkdir()
    Run.create(DEFINITIONS["module"], CONFIG)
    assert len(all_runs()) == 2


def test_a_run_that_trains_is_not_deleted(run):
    with RunWriter.claim(run), pytest.raises(RunBusy):
        run.delete()
    run.delete()
    assert all_runs() == []


def test_a_finished_run_is_not_queued_again(run):
    write(run, "started", "finished")
    with pytest.raises(RunFinished, match="nothing left to train"):
        run.enqueue()


def test_the_queue_is_first_come_first_served():
    first, second, third = (Run.create(DEFINITIONS["module"], CONFIG) for _ in range(3))
    for each in (second, third, first):
        each.enqueue()
    assert [each.id for each in runs.waiting_runs()] == sorted(
        (each.id for each in (first, second, third)), key=[second.id, third.id, first.id].index
    )


def test_the_history_is_what_was_logged_and_grows(run):
    write(run, "started", batch(1), batch(2))
    assert run.history().step == 2
    write(run, epoch(1, 2))
    history = run.history()
    assert history.batches["loss"].tolist() == [1.0, 0.5]
    assert history.epochs.to_dict("records") == [asdict(epoch(1, 2))]
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


def test_what_came_after_the_checkpoint_is_forgotten_when_a_worker_goes_on(run):
    write(run, "started", batch(1), batch(2), epoch(1, 2), batch(3), epoch(2, 3))
    with RunWriter.claim(run) as writer:
        writer.append("started", step=2, device="cpu")
    history = run.history()
    assert history.batches["step"].tolist() == [1, 2]
    assert history.epochs["epoch"].tolist() == [1]


def test_a_long_reason_is_still_the_last_line(run):
    with RunWriter.claim(run) as writer:
        writer.append("failed", reason="x" * 20_000)
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
