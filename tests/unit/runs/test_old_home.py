"""A home that the lab of November 2026 made: its runs had no format number, and their logs no sums.

It has a finished run, one that was stopped in its second epoch, a sweep of two runs, two of my digits, and beside it an
archive of the finished run. Checkpoints of what is finished were left out, for their size.
"""

import zipfile
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from cnnlab.drawing.my_digits import keep, my_digits
from cnnlab.drawing.strokes import Stroke
from cnnlab.film.moments import film_of
from cnnlab.inference.test_set import predictions_of
from cnnlab.runs.log import Status
from cnnlab.runs.queue import enqueue
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import all_runs, unreadable_runs
from cnnlab.runs.snapshots import kept_steps, why_no_film
from cnnlab.runs.transfer.archive import export_run, import_run
from cnnlab.runs.writer import RunFinished, RunWriter
from cnnlab.sweeps.plan import Plan
from cnnlab.sweeps.sweep import all_sweeps
from cnnlab.workers.scheduler import Scheduler
from cnnlab.workers.work import work

pytestmark = pytest.mark.slow

CONTENT = Path(__file__).with_name("home-of-november-2026.zip")
# Of a few days later, when runs had a format number, their logs sums, and none of them snapshots.
BEFORE_SNAPSHOTS = Path(__file__).with_name("home-before-snapshots.zip")


@pytest.fixture(autouse=True)
def archive(lab_home) -> bytes:
    """Put the old home in the place of the test's, and return the archive."""
    with zipfile.ZipFile(CONTENT) as content:
        content.extractall(lab_home.parent)
    return (lab_home.parent / "archive.zip").read_bytes()


def run_named(name) -> Run:
    return next(run for run in all_runs() if run.name == name)


@pytest.mark.parametrize(
    ("name", "status", "epoch", "accuracy"),
    [("Old and finished", Status.FINISHED, 2, "84.76%"), ("Old and stopped", Status.STOPPED, 1, "36.39%")],
)
def test_a_run_is_read_as_it_was(name, status, epoch, accuracy):
    run = run_named(name)
    assert (run.status, run.config.threads, run.config.kernels) == (status, 1, "torch")
    assert (run.last_epoch().epoch, f"{run.last_epoch().test_accuracy:.2%}") == (epoch, accuracy)


def test_nothing_of_it_is_damaged():
    assert unreadable_runs() == []
    assert all(run.damage() is None for run in all_runs())


def test_its_answers_are_those_that_its_log_tells():
    run = run_named("Old and finished")
    right = (predictions_of(run).answers == truth_labels()).mean()
    assert right == pytest.approx(run.last_epoch().test_accuracy, abs=2e-4)


def truth_labels():
    from cnnlab.data import mnist

    return mnist.load_test_set()[1].numpy()


def test_a_stopped_run_goes_on_to_its_end():
    run = run_named("Old and stopped")
    enqueue(run)
    with RunWriter.claim(run) as writer:
        writer.starting()
        steps = [event.step for event in work(run, writer)]
    assert run.status is Status.FINISHED
    assert min(steps) == 15
    assert run.history().batches["step"].tolist() == list(range(1, 31))
    assert run.read_weights()


def test_a_finished_run_needs_no_checkpoint():
    with pytest.raises(RunFinished):
        enqueue(run_named("Old and finished"))


def test_its_sweep_is_there_and_takes_more_values():
    (sweep,) = all_sweeps()
    assert (sweep.name, len(sweep.runs())) == ("Old sweep", 2)
    more = Plan({"model": "residual", "epochs": 1, "batch_size": 10_000, "threads": 1, "kernels": "torch"})
    assert sweep.add(more) == 1
    assert len(all_sweeps()[0].runs()) == 3


def test_my_digits_are_there_and_one_more_can_be_kept():
    assert my_digits().labels.tolist() == [1, 7]
    keep(1, [Stroke(20, ((100.0, 40.0), (100.0, 240.0)))])
    assert my_digits().labels.tolist() == [1, 7, 1]


def test_its_archive_is_imported_and_exported_again(archive):
    imported = import_run(archive)
    original = run_named("Old and finished")
    assert imported.history().epochs.equals(original.history().epochs)
    again = import_run(export_run(imported))
    assert again.history().batches.equals(original.history().batches)


@pytest.mark.parametrize("page", ["write", "step", "train", "compare", "draw", "inspect", "sweep"])
def test_each_page_opens_it(page, monkeypatch):
    monkeypatch.setattr(Scheduler, "_look_at_queue", lambda self: None)
    opened = AppTest.from_file("../../../app.py", default_timeout=60).run()
    assert not opened.exception
    assert not opened.switch_page(f"pages/{page}.py").run().exception


def test_a_run_from_before_there_were_snapshots_goes_on_says_why_it_has_none_and_is_imported_again(lab_home):
    with zipfile.ZipFile(BEFORE_SNAPSHOTS) as content:
        content.extractall(lab_home.parent)
    run = run_named("Before there were snapshots")
    assert run.status is Status.STOPPED
    enqueue(run)
    with RunWriter.claim(run) as writer:
        assert [event.step for event in work(run, writer)] == [9, 10, 11, 12, 12]
    assert run.status is Status.FINISHED
    assert (kept_steps(run), film_of(run)) == ([], None)
    assert why_no_film(run).endswith("it was made by an earlier version of the lab.")
    assert import_run(export_run(run, snapshots=True)).snapshots is None
