import json
import resource
import shutil
from dataclasses import replace

import pytest
import torch
from torch import nn

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.folder import DamagedRun
from cnnlab.runs.queue import enqueue
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import create_run
from cnnlab.runs.writer import CannotGoOn, RunWriter
from cnnlab.storage.checksums import origin_of, sealed
from cnnlab.training.events import BatchEvent, EpochEvent
from cnnlab.training.recipe import TrainingConfig
from cnnlab.training.state import OtherCheckpoint, TrainingState

CONFIG = TrainingConfig(epochs=2, threads=1, batch_size=30_000)


def stopped_run(step=3, seed=0, config=CONFIG):
    run = create_run(DEFINITIONS["sequential"], config)
    state = TrainingState(DEFINITIONS["sequential"].build(seed), config)
    state.step = step
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        for each in range(1, step + 1):
            writer.append_training(BatchEvent(each, 1, 2 / each, 0.1 * each))
        writer.save(state, weights=True)
        writer.stopped()
    return run


def test_weights_and_checkpoint_say_which_run_and_step_they_are_of():
    run = stopped_run()
    assert origin_of(run.read_weights()) == {"run": run.identity, "step": "3"}
    checkpoint = run.load_checkpoint()
    assert (checkpoint["run"], checkpoint["position"]["step"]) == (run.identity, 3)


@pytest.mark.parametrize("name", ["weights.safetensors", "checkpoint.pt"])
def test_another_runs_file_in_the_place_of_ones_own_is_refused(name):
    run, other = stopped_run(), stopped_run(seed=1)
    shutil.copy(other.folder / name, run.folder / name)
    with pytest.raises(DamagedRun, match=f"{name} is another run's"):
        enqueue(run)
    with pytest.raises(DamagedRun, match=f"{name} is another run's"):
        run.read_weights() if name == "weights.safetensors" else run.load_checkpoint()


def test_files_of_an_earlier_version_do_not_say_whose_they_are_and_are_taken():
    from safetensors.torch import save

    run = stopped_run()
    run.weights_path.write_bytes(save(run.load_weights()))
    assert run.read_weights()


def test_a_checkpoint_of_a_later_step_than_the_log_is_refused():
    run = stopped_run()
    with RunWriter.claim(run) as writer:
        state = TrainingState(DEFINITIONS["sequential"].build(0), CONFIG)
        state.step = 4
        writer.save(state, weights=False)
    with pytest.raises(DamagedRun, match="of a later step than the log"):
        enqueue(run)


def test_the_weights_of_a_finished_run_are_those_after_its_last_step():
    run = stopped_run(step=4)
    with RunWriter.claim(run) as writer:
        writer.finished()
    assert run.read_weights()
    with RunWriter.claim(run) as writer:
        writer.save_weights(run.load_weights(), step=2)
    with pytest.raises(DamagedRun, match="holds the weights after step 2, and not the last ones"):
        run.read_weights()


def test_a_line_that_the_disk_takes_only_a_part_of_leaves_the_log_as_it_was_and_the_next_one_is_whole():
    run = stopped_run()
    before = run.log_path.read_bytes()
    no_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    with RunWriter.claim(run) as writer:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, no_limit[1]))
        try:
            with pytest.raises(OSError, match="No space left"):
                writer.queued(1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, no_limit)
        assert run.log_path.read_bytes() == before
        writer.queued(2)
    assert json.loads(run.log_path.read_bytes().removeprefix(before))["place"] == 2


def test_what_was_wished_or_written_beside_a_run_the_last_time_is_forgotten_when_it_goes_on():
    run = stopped_run()
    beside = [run.stop_path, run.learning_rate_path, run.errors_path]
    for path in beside:
        path.write_text("0.5")
    enqueue(run)
    assert [path.exists() for path in beside] == [False] * 3


def test_a_checkpoint_that_is_gone_is_said_and_training_does_not_begin_anew():
    run = stopped_run()
    run.checkpoint_path.unlink()
    with pytest.raises(CannotGoOn, match=r"its .*checkpoint\.pt is gone\. Put the file back from a copy"):
        enqueue(run)
    assert run.history().step == 3


def test_the_same_holds_for_a_log_of_an_earlier_version_once_an_epoch_was_followed_by_a_step():
    run = create_run(DEFINITIONS["sequential"], CONFIG)
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        writer.append_training(EpochEvent(1, 2, 1.5, 0.3, 0.9, 0.2, 300_000.0))
        writer.append_training(BatchEvent(3, 2, 0.5, 0.3))
        writer.interrupted("A power cut.")
    with pytest.raises(CannotGoOn):
        enqueue(run)


def test_a_run_that_was_cut_off_before_its_first_checkpoint_begins_anew():
    run = create_run(DEFINITIONS["sequential"], CONFIG)
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        writer.append_training(BatchEvent(1, 1, 2.0, 0.1))
    enqueue(run)


def test_a_run_whose_network_was_changed_goes_on_with_its_own(monkeypatch):
    run = stopped_run()
    expected = run.definition.build(1).state_dict()
    monkeypatch.setitem(
        DEFINITIONS, "sequential", replace(DEFINITIONS["sequential"], factory=DEFINITIONS["residual"].factory)
    )
    found = run.definition.build(1).state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    enqueue(run)


def unreadable():
    layers = [nn.Flatten() for _ in range(2)]
    return nn.Sequential(*layers, nn.Linear(784, 10))


def test_a_run_whose_network_is_gone_and_cannot_be_read_does_not_go_on():
    run = create_run(replace(DEFINITIONS["sequential"], factory=unreadable), CONFIG)
    with pytest.raises(
        CannotGoOn, match=r"definitions\.py has no nn\.Sequential, or has changed it.*Line 2: a compreh"
    ):
        enqueue(run)


def test_a_checkpoint_of_another_optimizer_or_network_is_refused():
    adam = TrainingState(DEFINITIONS["module"].build(0), replace(CONFIG, optimizer="adam")).state_dict()
    with pytest.raises(OtherCheckpoint, match="not one of the optimizer RMSprop"):
        TrainingState(DEFINITIONS["module"].build(0), CONFIG).load_state_dict(adam)
    with pytest.raises(OtherCheckpoint, match="of another network"):
        TrainingState(DEFINITIONS["residual"].build(0), CONFIG).load_state_dict(adam)


def test_what_an_earlier_version_had_no_setting_for_is_read_as_it_trained():
    run = stopped_run(config=replace(CONFIG, threads=3, kernels="torch"))
    manifest = json.loads(run.manifest_path.read_text())
    del manifest["sha256"], manifest["config"]["threads"], manifest["config"]["kernels"]
    run.manifest_path.write_text(json.dumps(sealed(manifest)))
    with RunWriter.claim(run) as writer:
        writer.started(step=3, device="cpu", threads=3)
    found = Run(run.folder)
    assert (found.config.threads, found.config.kernels) == (3, "torch")
