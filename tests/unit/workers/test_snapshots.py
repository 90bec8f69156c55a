"""The snapshots that a run keeps of its weights: they change nothing, cost little, and are those of their steps."""

import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load
from trained import trained as trained_run

from cnnlab.data import mnist as data
from cnnlab.film.moments import moments_of, newest_step
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.log import Status
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import all_runs, create_run, remove_leftovers
from cnnlab.runs.snapshots import kept_steps, read_snapshot, snapshot_steps
from cnnlab.runs.transfer.archive import export_run, import_run
from cnnlab.runs.writer import RunWriter
from cnnlab.storage.checksums import is_whole_tensors
from cnnlab.training.loop import Diverged, train
from cnnlab.training.recipe import TrainingConfig
from cnnlab.training.state import TrainingState
from cnnlab.workers import snapshots
from cnnlab.workers.snapshots import Snapshots
from cnnlab.workers.work import work

CONFIG = TrainingConfig(epochs=3, threads=1, device="cpu")  # of eight batches, where MNIST is small


@pytest.fixture
def no_limit(monkeypatch):
    """Let snapshots take as long as they like: no timing decides a test."""
    monkeypatch.setattr(snapshots, "MOST_SHARE", 1e9)


def trained(mnist, *, until=None, run=None, **options) -> Run:
    return trained_run(run or create_run(DEFINITIONS["module"], CONFIG, **options), mnist, until=until)


def film_of(run):
    return {step: load(read_snapshot(run, step)) for step in kept_steps(run)}


def are_equal(some, others):
    return some.keys() == others.keys() and all(torch.equal(some[name], others[name]) for name in some)


@pytest.mark.slow
def test_a_snapshot_holds_the_weights_after_its_step(mnist, no_limit):
    run = trained(mnist)
    model = DEFINITIONS["module"].build(CONFIG.seed)
    state = TrainingState(model, CONFIG)
    weights = {0: {name: tensor.clone() for name, tensor in model.state_dict().items()}}
    for event in train(model, mnist, CONFIG, state):
        weights[event.step] = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    film = film_of(run)
    assert list(film) == [step for step in snapshot_steps(CONFIG.total_steps, 30) if step <= 24]
    assert all(are_equal(film[step], weights[step]) for step in film)


@pytest.mark.slow
@pytest.mark.parametrize("count", [0, 9])
def test_the_losses_are_the_same_with_and_without(mnist, no_limit, count):
    few, many = trained(mnist, snapshots=count), trained(mnist)
    assert kept_steps(few) == [step for step in snapshot_steps(CONFIG.total_steps, count) if step <= 24]
    assert few.history().batches["loss"].tolist() == many.history().batches["loss"].tolist()
    assert are_equal(few.load_checkpoint()["model"], many.load_checkpoint()["model"])


@pytest.mark.slow
def test_a_run_that_was_cut_off_has_the_film_of_one_that_was_not(mnist, no_limit):
    uncut, cut = trained(mnist), trained(mnist, until=13)
    trained(mnist, run=cut)
    theirs, ours = film_of(uncut), film_of(cut)
    assert theirs.keys() == ours.keys()
    assert all(are_equal(ours[step], theirs[step]) for step in ours)


@pytest.mark.slow
def test_one_that_is_killed_has_whole_snapshots_and_goes_on_to_the_film_of_one_that_was_not(wait_for):
    command = [sys.executable, "-m", "cnnlab", "train", "--epochs", "4", "--threads", "1", "--snapshots", "100"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(all_runs)
    (run,) = all_runs()
    for count in (3, 20):
        wait_for(lambda count=count: len(list(run.snapshots_folder.glob("*"))) >= count)
        process.send_signal(signal.SIGKILL)
        process.wait()
        remove_leftovers()
        files = list(run.snapshots_folder.iterdir())
        assert all(is_whole_tensors(path.read_bytes()) for path in files)
        assert len(kept_steps(run)) == len(files)
        command = [sys.executable, "-m", "cnnlab", "train", "--resume", run.id]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert process.wait() == 0
    assert {path.name for path in run.folder.iterdir() if path.name.startswith(".")} == set()
    film = film_of(run)
    model = DEFINITIONS["sequential"].build(0)
    state = TrainingState(model, run.config)
    for event in train(model, data.load(train_images_as_bytes=True), run.config, state):
        if event.step in film:
            assert are_equal(film[event.step], model.state_dict()), event.step


def test_what_was_taken_after_the_checkpoint_is_dropped_when_the_run_goes_on(mnist, no_limit):
    run = trained(mnist, until=13)  # the last checkpoint is that of the first epoch, or not much later
    with RunWriter.claim(run) as writer:
        writer.save_snapshot(DEFINITIONS["module"].build(9).state_dict(), 20)
    trained(mnist, run=run, until=16)
    assert max(kept_steps(run)) <= 16


def test_a_run_that_diverges_goes_back_to_a_step_that_it_names_and_keeps_no_snapshot_of_later_ones(mnist, no_limit):
    config = TrainingConfig(epochs=1, threads=1, device="cpu", optimizer="sgd", learning_rate=1_000)
    run = create_run(DEFINITIONS["module"], config)
    with pytest.raises(Diverged), RunWriter.claim(run) as writer:
        list(work(run, writer, mnist=mnist))
    step = newest_step(run)
    assert 0 < step < run.history().step
    assert max(kept_steps(run)) == step == moments_of(run)[-1]
    assert are_equal(film_of(run)[step], run.load_weights())
    assert kept_steps(import_run(export_run(run, snapshots=True))) == kept_steps(run)


def test_a_disk_that_takes_no_snapshot_does_not_end_the_training(mnist, no_limit):
    run = create_run(DEFINITIONS["module"], CONFIG)
    run.snapshots_folder.write_text("in the way")
    trained(mnist, run=run)
    assert run.status is Status.FINISHED
    assert kept_steps(run) == []
    assert [path.name for path in run.folder.iterdir() if path.name.startswith(".")] == []


class SlowDisk:
    """Takes some seconds for each snapshot, by a clock that stands still otherwise."""

    def __init__(self, monkeypatch, *seconds):
        self.steps, self._seconds, self._now = [], seconds, 0.0
        monkeypatch.setattr(time, "perf_counter", lambda: self._now)

    def save_snapshot(self, weights, step):
        self._now += self._seconds[min(len(self.steps), len(self._seconds) - 1)]
        self.steps.append(step)


def steps_kept(disk, config, *, count=40, seconds_a_step=0.01, at_once=1):
    state = SimpleNamespace(model=torch.nn.Linear(2, 2), step=0, seconds=0.0)
    kept = Snapshots(count, config, state)
    kept.take_if_due(disk)
    while state.step < config.total_steps:
        state.step = min(config.total_steps, state.step + at_once)
        state.seconds += seconds_a_step * at_once
        kept.take_if_due(disk)
    return disk.steps


TWO_EPOCHS, TEN_EPOCHS = TrainingConfig(epochs=2), TrainingConfig()


def test_on_a_fast_disk_all_are_kept_also_where_the_first_ones_wait(monkeypatch):
    disk = SlowDisk(monkeypatch, 3.0, 0.5, 0.001)
    assert steps_kept(disk, TEN_EPOCHS) == list(snapshot_steps(4_690, 40))


@pytest.mark.parametrize(("epochs", "count"), [(1, 10), (2, 20), (4, 40), (100, 40)])
def test_a_short_run_keeps_fewer_and_those_are_the_same_each_time(monkeypatch, epochs, count):
    config = TrainingConfig(epochs=epochs)
    assert steps_kept(SlowDisk(monkeypatch, 0.001), config) == list(snapshot_steps(config.total_steps, count))


def test_on_a_slow_disk_fewer_are_kept_early_and_late_in_two_hundredths_of_the_time(monkeypatch):
    steps = steps_kept(SlowDisk(monkeypatch, 0.05), TEN_EPOCHS)  # of 46.9 seconds: at most 18
    assert 15 <= len(steps) <= 18
    assert steps[0] == 0
    assert steps[-1] == 4_690
    assert sum(step > 500 for step in steps) >= 4


def test_on_a_disk_that_is_far_too_slow_the_first_ones_alone_are_kept(monkeypatch):
    assert steps_kept(SlowDisk(monkeypatch, 5.0), TEN_EPOCHS) == [0, 1, 2]


def test_where_steps_are_told_twenty_at_once_a_snapshot_has_the_step_that_it_is_of(monkeypatch):
    steps = steps_kept(SlowDisk(monkeypatch, 0.0), TWO_EPOCHS, at_once=20)
    assert steps[:4] == [0, 20, 40, 60]
    assert steps[-1] == TWO_EPOCHS.total_steps
