"""Servers that are ended, with three runs in training."""

import signal
import time
from pathlib import Path

import pytest
from playwright.sync_api import expect

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.log import Status
from cnnlab.runs.queue import enqueue
from cnnlab.runs.shelf import create_run
from cnnlab.training.recipe import TrainingConfig


@pytest.fixture
def three_runs():
    config = TrainingConfig(epochs=50, threads=1)
    return [create_run(DEFINITIONS["sequential"], config, f"Run {number}") for number in range(3)]


@pytest.fixture
def served(open_tab, start_lab, three_runs, lab_home, wait_for):
    """Start a server that trains three runs at once, with a page of it open."""
    (lab_home / "settings.json").write_text('{"parallel_runs": 3}')
    for run in three_runs:
        enqueue(run)
    lab = start_lab()
    open_tab(f"{lab.url}/train")
    wait_for(lambda: all(run.history().step > 10 for run in three_runs))
    return lab


def is_alive(pid):
    return Path(f"/proc/{pid}").exists()


@pytest.mark.browser
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_server_that_is_told_to_end_stops_all_in_order(sent, served, three_runs):
    processes = served.children()
    assert len(processes) >= 3
    served.process.send_signal(sent)
    assert served.process.wait(timeout=30) == 0
    assert not any(is_alive(pid) for pid in processes)
    for run in three_runs:
        assert run.status is Status.INTERRUPTED
        assert "closed" in run.history().reason
        assert run.load_checkpoint()["position"]["step"] == run.history().step


@pytest.mark.browser
def test_after_a_server_was_killed_its_runs_are_interrupted_and_go_on(
    served, three_runs, start_lab, open_tab, wait_for, lab_home
):
    processes = served.children()
    served.process.kill()
    served.process.wait()
    killed = time.monotonic()
    wait_for(lambda: not any(is_alive(pid) for pid in processes))
    print(f"all workers had ended {time.monotonic() - killed:.1f} s after their server")
    done = [run.history().step for run in three_runs]
    for run, step in zip(three_runs, done, strict=True):
        assert run.status is Status.INTERRUPTED
        assert run.load_checkpoint()["position"]["step"] == step
    lab = start_lab()
    page = open_tab(f"{lab.url}/train?run={three_runs[0].id}")
    page.get_by_role("button", name="All runs").click()
    expect(page.get_by_text("interrupted ·")).to_have_count(3)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Resume").click()
    wait_for(lambda: three_runs[0].history().step > done[0])
    assert three_runs[0].history().starts == [0, done[0]]
    assert not list(lab_home.glob(f".worker.*.{served.process.pid}.*"))
