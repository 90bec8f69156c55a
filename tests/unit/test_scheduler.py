import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cnnlab.models import DEFINITIONS
from cnnlab.runs import Run, Status
from cnnlab.scheduler import scheduler
from cnnlab.training import TrainingConfig, available_cores


def new_run(epochs=20, threads=1, **recipe):
    return Run.create(DEFINITIONS["sequential"], TrainingConfig(epochs=epochs, threads=threads, **recipe))


def workers():
    """Return the process ids of the workers that this process has started."""
    listed = subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "pid=,args="], capture_output=True, text=True)
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if "cnnlab.worker" in line]


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


def test_closing_ends_every_worker_with_a_checkpoint(wait_for):
    run = new_run()
    scheduler().start(run)
    wait_for(has_trained(run))
    scheduler().close()
    assert workers() == []
    assert run.status is Status.INTERRUPTED
    assert "closed" in run.history().reason
    assert run.load_checkpoint()["position"]["step"] == run.history().step


def test_a_worker_whose_server_is_killed_ends_with_a_checkpoint(wait_for):
    run = new_run()
    run.enqueue()
    server = subprocess.Popen(
        [sys.executable, "-c", "import cnnlab.scheduler as s, time; s.scheduler(); time.sleep(600)"]
    )
    wait_for(has_trained(run))
    server.kill()
    server.wait()
    wait_for(lambda: run.status is Status.INTERRUPTED)
    assert run.load_checkpoint()["position"]["step"] == run.history().step


@pytest.mark.parametrize("settings", ["", "{", "[]", '{"parallel_runs": "many"}', '{"parallel_runs": 0}'])
def test_unreadable_settings_leave_it_to_the_cores(settings, lab_home):
    (lab_home / "settings.json").write_text(settings)
    assert scheduler().parallel_runs is None


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
    os.kill(workers()[0], signal.SIGKILL)
    run = new_run()
    scheduler().start(run)
    wait_for(has_trained(run))


def test_a_worker_without_a_run_ends_with_its_server(wait_for):
    server = subprocess.Popen(
        [sys.executable, "-c", "import cnnlab.scheduler as s, time; s.scheduler(); time.sleep(600)"]
    )
    children = ["ps", "--ppid", str(server.pid), "-o", "pid="]
    wait_for(lambda: subprocess.run(children, capture_output=True, text=True).stdout.strip())
    worker = int(subprocess.run(children, capture_output=True, text=True).stdout)
    server.kill()
    server.wait()
    wait_for(lambda: not Path(f"/proc/{worker}").exists())


def test_closing_leaves_no_file_of_a_worker_without_a_run(lab_home, wait_for):
    scheduler()
    wait_for(lambda: list(lab_home.glob(".worker-*")))
    scheduler().close()
    assert not list(lab_home.glob(".worker-*"))
