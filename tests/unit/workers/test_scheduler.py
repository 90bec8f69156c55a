import errno
import json
import os
import random
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.log import Status
from cnnlab.runs.queue import enqueue
from cnnlab.runs.shelf import create_run
from cnnlab.storage.cores import available_cores
from cnnlab.training.recipe import TrainingConfig
from cnnlab.workers import child, processes
from cnnlab.workers.scheduler import scheduler

pytestmark = pytest.mark.slow


def new_run(epochs=50, threads=1, **recipe):
    return create_run(DEFINITIONS["sequential"], TrainingConfig(epochs=epochs, threads=threads, **recipe))


def workers():
    """Return the process ids of the workers that this process has started."""
    listed = subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "pid=,args="], capture_output=True, text=True)
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if "cnnlab.workers.process" in line]


@pytest.fixture
def start_server():
    """Return a function that starts a process with a scheduler of its own; all are ended after the test."""
    started = []

    def start():
        code = "import time; from cnnlab.workers.scheduler import scheduler; scheduler(); time.sleep(6000)"
        started.append(subprocess.Popen([sys.executable, "-c", code]))
        return started[-1]

    yield start
    for each in started:
        each.terminate()
        each.wait()


def has_trained(run, steps=1):
    return lambda: run.history().step >= steps


def test_one_run_trains_and_the_next_waits_for_it(wait_for):
    first, second = new_run(threads=available_cores()), new_run()
    scheduler().start(first)
    scheduler().start(second)
    wait_for(has_trained(first))
    assert second.status is Status.QUEUED
    scheduler().stop(first)
    wait_for(has_trained(second))
    assert first.status is Status.STOPPED
    assert first.load_weights() is not None
    assert first.load_checkpoint()["position"]["step"] == first.history().step


@pytest.mark.skipif(available_cores() < 2, reason="needs two cores")
def test_runs_that_leave_cores_free_train_together(wait_for):
    runs = [new_run(threads=available_cores() // 2) for _ in range(2)]
    for run in runs:
        scheduler().start(run)
    wait_for(lambda: all(run.status is Status.RUNNING for run in runs))


def test_as_many_train_at_once_as_is_set(wait_for):
    scheduler().parallel_runs = 2
    runs = [new_run() for _ in range(3)]
    for run in runs:
        scheduler().start(run)
    wait_for(lambda: all(run.status is Status.RUNNING for run in runs[:2]))
    assert runs[2].status is Status.QUEUED
    assert scheduler().parallel_runs == 2


def test_a_run_can_be_stopped_while_it_gets_ready_or_waits(wait_for):
    first, second = new_run(), new_run()
    scheduler().start(first)
    scheduler().start(second)
    wait_for(lambda: first.status is Status.RUNNING)
    scheduler().stop(second)
    scheduler().stop(first)
    wait_for(lambda: first.status is Status.STOPPED)
    assert second.status is Status.STOPPED
    assert first.history().step == 0


def test_a_batch_too_long_to_wait_for_does_not_hold_up_a_stop(wait_for):
    run = new_run(batch_size=60_000)
    scheduler().start(run)
    wait_for(has_trained(run))
    scheduler().stop(run)
    wait_for(lambda: run.status is Status.STOPPED)
    assert run.load_weights() is not None


def test_a_worker_that_does_not_stop_is_ended(wait_for, process_of):
    run = new_run()
    scheduler().start(run)
    wait_for(has_trained(run))
    os.kill(process_of(run), signal.SIGSTOP)  # as if its batch took for ever
    scheduler().stop(run)
    wait_for(lambda: run.status is Status.STOPPED)
    assert run.can_resume


def test_a_killed_worker_leaves_an_interrupted_run_that_goes_on_bit_for_bit(wait_for, process_of):
    run, undisturbed = new_run(epochs=1), new_run(epochs=1)
    scheduler().start(run)
    wait_for(has_trained(run, steps=100))
    os.kill(process_of(run), signal.SIGKILL)
    wait_for(lambda: run.status is Status.INTERRUPTED)
    scheduler().start(run)
    scheduler().start(undisturbed)
    wait_for(lambda: {run.status, undisturbed.status} == {Status.FINISHED})
    assert len(run.history().starts) == 2
    assert run.history().batches["loss"].equals(undisturbed.history().batches["loss"])
    assert run.last_epoch().test_loss == undisturbed.last_epoch().test_loss
    # What the pages ask about the digits of both test sets is answered already.
    wait_for(lambda: run.predictions_path.exists() and run.pen_predictions_path.exists())


@pytest.mark.timeout(3600)
def test_a_run_killed_again_and_again_is_that_of_an_undisturbed_one_bit_for_bit(wait_for, process_of, soak):
    kills, epochs = (50, 20) if soak else (3, 4)
    chance = random.Random(0)
    run, undisturbed = new_run(epochs), new_run(epochs)
    repeated = []
    scheduler().start(run)
    for number in range(1, kills + 1):
        step = int((number - chance.random()) * run.total_steps / (kills + 1))
        wait_for(lambda number=number: len(run.history().starts) == number)
        wait_for(has_trained(run, step))
        os.kill(process_of(run), signal.SIGKILL)
        wait_for(lambda: run.status is Status.INTERRUPTED)
        trained = run.history().batches.set_index("step")["seconds"]
        scheduler().start(run)
        wait_for(lambda number=number: len(run.history().starts) == number + 1)
        repeated.append(trained.iloc[-1] - trained.get(run.history().starts[-1], 0.0))
    scheduler().start(undisturbed)
    wait_for(lambda: {run.status, undisturbed.status} == {Status.FINISHED}, seconds=600)
    assert len(run.history().starts) == kills + 1
    assert max(run.history().starts) >= run.steps_per_epoch
    assert run.history().batches["loss"].equals(undisturbed.history().batches["loss"])
    columns = ["train_loss", "test_loss", "test_accuracy"]
    assert run.history().epochs[columns].equals(undisturbed.history().epochs[columns])
    weights = undisturbed.load_weights()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in run.load_weights().items())
    print(f"{kills} kills; {max(repeated):.2f} s of training repeated at most")
    assert max(repeated) <= 2


def test_when_the_disk_is_full_a_run_fails_with_that_reason_and_keeps_its_checkpoint(wait_for, small_disk):
    run = new_run(epochs=1000, batch_size=60_000, shift=4)  # a checkpoint for each line of the log, and slow
    scheduler().start(run)
    wait_for(lambda: run.load_checkpoint() is not None)
    small_disk.fill()
    wait_for(lambda: run.status is Status.FAILED)
    assert "is full" in run.history().reason
    assert run.damage() is None
    done = run.load_checkpoint()["position"]["step"]
    assert done >= 1
    small_disk.free()
    scheduler().start(run)
    wait_for(lambda: run.history().step > done)
    assert run.history().starts[-1] == done


class SmallDisk:
    """A file system of a few megabytes."""

    def __init__(self, folder):
        self._filling = folder / "filling"

    def fill(self):
        with suppress(OSError), self._filling.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(512))

    def free(self):
        self._filling.unlink()


@pytest.fixture
def small_disk(lab_home, decoded_mnist, monkeypatch):
    folder = lab_home.with_name("small")
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("cannot mount a file system here")
    (folder / "mnist.safetensors").symlink_to(decoded_mnist)
    monkeypatch.setenv("CNNLAB_HOME", str(folder))
    yield SmallDisk(folder)
    scheduler().close()
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.timeout(3600)
def test_a_queue_keeps_its_order_over_the_end_of_its_server(wait_for, start_server, soak):
    runs = [new_run(epochs=1, batch_size=60_000, threads=available_cores()) for _ in range(100 if soak else 4)]
    for run in reversed(runs):  # not in the order in which they were made
        enqueue(run)
    for ended in (0, len(runs) // 2):
        server = start_server()
        wait_for(lambda ended=ended: [run.status for run in runs].count(Status.FINISHED) > ended, seconds=1200)
        if not ended:
            server.kill()
            server.wait()
    wait_for(lambda: all(run.status in (Status.FINISHED, Status.INTERRUPTED) for run in runs), seconds=1200)
    server.terminate()
    server.wait()
    starts = [(event_at(run, "starting"), run.id) for run in runs]
    assert [run_id for _, run_id in sorted(starts)] == [run.id for run in reversed(runs)]
    assert [run.status for run in runs].count(Status.INTERRUPTED) <= 1  # the one that the killed server trained


def event_at(run, event):
    lines = (run.folder / "events.jsonl").read_text().splitlines()
    return next(record["at"] for record in map(json.loads, lines) if record["event"] == event)


def test_two_servers_and_the_command_line_on_one_home_train_each_run_once(wait_for, start_server):
    runs = [new_run(epochs=1, batch_size=60_000) for _ in range(4)]
    for _ in range(2):
        start_server()
    for run in runs:
        enqueue(run)
    claimed = subprocess.run([sys.executable, "-m", "cnnlab", "train", "--resume", runs[-1].id], capture_output=True)
    wait_for(lambda: all(run.status is Status.FINISHED for run in runs), seconds=120)
    assert claimed.returncode in (0, 2)  # it was first, or it was told that another process trains the run
    assert all(run.history().starts == [0] and run.history().step == 1 for run in runs)


def test_closing_ends_every_worker_with_a_checkpoint(wait_for):
    run = new_run()
    scheduler().start(run)
    wait_for(has_trained(run))
    scheduler().close()
    assert workers() == []
    assert run.status is Status.INTERRUPTED
    assert "closed" in run.history().reason
    assert run.load_checkpoint()["position"]["step"] == run.history().step


def test_a_worker_whose_server_is_killed_ends_with_a_checkpoint(wait_for, start_server):
    run = new_run()
    enqueue(run)
    server = start_server()
    wait_for(has_trained(run))
    server.kill()
    server.wait()
    wait_for(lambda: run.status is Status.INTERRUPTED)
    assert run.load_checkpoint()["position"]["step"] == run.history().step


def test_a_worker_that_cannot_start_shows_its_error_lines(wait_for, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # Python itself does not find its library there
    run = new_run()
    scheduler().start(run)
    wait_for(lambda: run.status is Status.INTERRUPTED)
    assert any("encodings" in line for line in run.error_lines())


def test_a_damaged_run_does_not_hold_up_the_others(wait_for):
    damaged, sound = new_run(), new_run()
    (damaged.folder / "run.json").write_text("{")
    scheduler().start(sound)
    wait_for(lambda: sound.status is Status.RUNNING)


def test_a_worker_is_ready_before_there_is_a_run_and_trains_it(wait_for, process_of):
    scheduler()
    wait_for(lambda: len(workers()) == 1)
    (ready,) = workers()
    run = new_run()
    scheduler().start(run)
    wait_for(has_trained(run))
    assert process_of(run) == ready
    wait_for(lambda: len(workers()) == 2)  # the next one gets ready


def test_a_ready_worker_that_has_died_is_replaced(wait_for):
    scheduler()
    wait_for(lambda: len(workers()) == 1)
    (worker,) = workers()
    os.kill(worker, signal.SIGKILL)
    os.waitid(os.P_PID, worker, os.WEXITED | os.WNOWAIT)
    run = new_run()
    scheduler().start(run)
    wait_for(has_trained(run))


def test_a_worker_without_a_run_ends_with_its_server(wait_for, start_server):
    server = start_server()
    children = ["ps", "--ppid", str(server.pid), "-o", "pid="]
    wait_for(lambda: subprocess.run(children, capture_output=True, text=True).stdout.strip())
    worker = int(subprocess.run(children, capture_output=True, text=True).stdout)
    server.kill()
    server.wait()
    wait_for(lambda: not Path(f"/proc/{worker}").exists())


def test_closing_leaves_no_file_of_a_worker_without_a_run(lab_home, wait_for):
    scheduler()
    wait_for(lambda: list(lab_home.glob(".worker.*")))
    scheduler().close()
    assert not list(lab_home.glob(".worker.*"))


@pytest.mark.parametrize(
    ("sent", "words"), [(signal.SIGKILL, r"was killed \(SIGKILL\)"), (signal.SIGSEGV, r"crashed \(SIGSEGV\)")]
)
def test_a_run_whose_worker_died_by_a_signal_says_so(sent, words, wait_for, process_of):
    run = new_run()
    scheduler().start(run)
    wait_for(has_trained(run))
    os.kill(process_of(run), sent)
    wait_for(lambda: run.history().reason)
    assert re.search(words, run.history().reason)
    assert run.status is Status.INTERRUPTED


def test_a_run_whose_worker_the_system_killed_for_lack_of_memory_says_that(wait_for, process_of, monkeypatch):
    run = new_run()
    scheduler().start(run)
    wait_for(has_trained(run))
    before = processes.out_of_memory_kills()
    monkeypatch.setattr(processes, "out_of_memory_kills", lambda: before + 1)
    os.kill(process_of(run), signal.SIGKILL)
    wait_for(lambda: run.history().reason)
    assert "since memory had run out" in run.history().reason


def test_why_a_run_that_waits_cannot_be_started_is_told_and_forgotten_when_it_is_mended(wait_for, monkeypatch):
    def refuse(self, run):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    run = new_run(epochs=1)
    with monkeypatch.context() as patch:
        patch.setattr(processes.Worker, "train", refuse)
        scheduler().start(run)
        wait_for(lambda: scheduler().problem)
        assert "cannot be written" in scheduler().problem
        assert run.status is Status.QUEUED
    wait_for(lambda: run.status is Status.FINISHED)
    assert scheduler().problem is None


def test_a_worker_that_cannot_be_started_at_all_is_told(wait_for, monkeypatch):
    def refuse(*arguments, **keywords):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(child, "start_python", refuse)
        scheduler().start(new_run(epochs=1))
        wait_for(lambda: scheduler().problem)
        assert "is full" in scheduler().problem


def test_an_error_at_the_end_keeps_no_worker_from_being_ended(wait_for, monkeypatch):
    run = new_run(epochs=100)
    scheduler().start(run)
    wait_for(has_trained(run))

    def refuse(path, missing_ok=False):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        scheduler().close()
    assert workers() == []
