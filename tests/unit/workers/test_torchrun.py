"""One run over two processes that torchrun starts."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.log import Status
from cnnlab.runs.shelf import all_runs, create_run
from cnnlab.runs.snapshots import kept_steps
from cnnlab.runs.writer import RunWriter
from cnnlab.training.recipe import TrainingConfig
from cnnlab.workers.work import work

pytestmark = pytest.mark.slow

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
TWO = ("--nproc-per-node", "2", "--standalone", "--max-restarts")
ONE_MACHINE = (*TWO, "1")
NO_RESTART = (*TWO, "0")  # what is refused would be refused twice


@pytest.fixture
def start_torchrun():
    """Return a function that starts two processes of ``cnnlab train`` with torchrun."""
    started = []

    def start(*arguments, options=ONE_MACHINE):
        command = [*TORCHRUN, *options, "-m", "cnnlab", "train", "--threads", "1", *arguments]
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        started.append(subprocess.Popen(command, start_new_session=True, **output))
        return started[-1]

    yield start
    for each in started:
        if each.poll() is None:
            os.killpg(each.pid, signal.SIGKILL)
        each.communicate()


@pytest.fixture
def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def processes_of(torchrun):
    listed = subprocess.run(["ps", "--ppid", str(torchrun.pid), "-o", "pid="], capture_output=True, text=True)
    return [int(line) for line in listed.stdout.split()]


def environment_of(process):
    content = Path(f"/proc/{process}/environ").read_text(encoding="utf-8").split("\0")
    return dict(line.split("=", 1) for line in content if line)


def trained_by_one_process(**recipe):
    run = create_run(DEFINITIONS["sequential"], TrainingConfig(threads=1, **recipe))
    with RunWriter.claim(run) as writer:
        list(work(run, writer))
    return run.history()


def test_two_processes_of_which_one_is_killed_have_the_losses_of_one(start_torchrun, wait_for):
    torchrun = start_torchrun("--epochs", "2")
    wait_for(all_runs)
    (run,) = all_runs()
    wait_for(lambda: run.history().step > run.steps_per_epoch + 100)
    os.kill(processes_of(torchrun)[-1], signal.SIGKILL)
    output, _ = torchrun.communicate(timeout=120)

    assert torchrun.returncode == 0, output
    assert run.status is Status.FINISHED
    assert kept_steps(run)[:2] == [0, 1]
    history = run.history()
    assert len(history.starts) == 2
    assert history.starts[1] >= run.steps_per_epoch
    assert history.batches["step"].tolist() == list(range(1, run.total_steps + 1))
    alone = trained_by_one_process(epochs=1)
    assert abs(history.epochs["train_loss"][0] - alone.epochs["train_loss"][0]) < 1e-3
    assert history.batches["loss"][:20].tolist() == pytest.approx(alone.batches["loss"][:20].tolist(), rel=1e-3)
    assert [each.id for each in all_runs()][1:] == [run.id], "the restart made another run"


def test_one_lost_on_the_second_of_two_machines_does_not_make_another_run(start_torchrun, wait_for, free_port):
    machine = ("--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-id", "two")
    options = (*machine, "--rdzv-endpoint", f"localhost:{free_port}", "--max-restarts", "1")
    machines = [start_torchrun("--epochs", "2", "--batch-size", "512", options=options) for _ in range(2)]
    wait_for(all_runs)
    (run,) = all_runs()
    wait_for(lambda: run.history().step > run.steps_per_epoch)
    processes = [process for machine in machines for process in processes_of(machine)]
    (second,) = (process for process in processes if environment_of(process)["RANK"] == "1")
    os.kill(second, signal.SIGKILL)
    for machine in machines:
        output, _ = machine.communicate(timeout=120)
        assert machine.returncode == 0, output
    assert [each.id for each in all_runs()] == [run.id]
    assert run.status is Status.FINISHED
    assert len(run.history().starts) == 2


def test_a_wish_to_stop_outlives_a_restart(start_torchrun, wait_for):
    torchrun = start_torchrun("--epochs", "50")
    wait_for(all_runs)
    (run,) = all_runs()
    wait_for(lambda: run.history().step > 0 and run.has_checkpoint)
    (first,) = (process for process in processes_of(torchrun) if environment_of(process)["RANK"] == "0")
    os.kill(first, signal.SIGSTOP)
    run.request_stop()
    os.kill(first, signal.SIGKILL)
    output, _ = torchrun.communicate(timeout=120)
    assert torchrun.returncode == 0, output
    assert run.status is Status.STOPPED
    assert run.load_weights() is not None


def test_changed_images_are_those_of_one_process(start_torchrun):
    torchrun = start_torchrun(
        "--epochs", "1", "--preset", "drawing", "--batch-size", "6000", options=("--nproc-per-node", "2")
    )
    output, _ = torchrun.communicate(timeout=120)
    assert torchrun.returncode == 0, output
    (run,) = all_runs()
    with RunWriter.claim(alone := create_run(DEFINITIONS["sequential"], run.config)) as writer:
        list(work(alone, writer))
    assert run.history().batches["loss"].tolist() == pytest.approx(alone.history().batches["loss"].tolist(), rel=1e-3)


def test_ctrl_c_stops_all_with_a_checkpoint(start_torchrun, wait_for):
    torchrun = start_torchrun("--epochs", "50")
    wait_for(all_runs)
    (run,) = all_runs()
    wait_for(lambda: run.history().step > 0)
    os.killpg(torchrun.pid, signal.SIGINT)
    for process in processes_of(torchrun):  # torchrun has given them sessions of their own
        os.kill(process, signal.SIGINT)
    torchrun.communicate(timeout=60)
    assert run.status is Status.STOPPED
    assert run.load_checkpoint()["position"]["step"] == run.history().step


def test_a_batch_too_small_for_its_processes_is_refused(start_torchrun):
    torchrun = start_torchrun("--epochs", "1", "--batch-size", "59999", options=NO_RESTART)
    output, _ = torchrun.communicate(timeout=120)
    assert torchrun.returncode != 0
    assert all_runs() == []
    assert "batch_size is 59999; allowed is one that leaves each of the 2 processes an image of every batch" in output
