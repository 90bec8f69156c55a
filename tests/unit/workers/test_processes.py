import signal
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.log import Status
from cnnlab.runs.queue import enqueue
from cnnlab.runs.shelf import create_run
from cnnlab.runs.writer import RunBusy, RunWriter
from cnnlab.training.events import BatchEvent
from cnnlab.training.recipe import TrainingConfig
from cnnlab.workers import processes
from cnnlab.workers.processes import ClusterSender, Worker, out_of_memory_kills


@pytest.mark.parametrize(
    ("sent", "memory_ran_out", "told"),
    [
        (signal.SIGKILL, False, "The process that trained it was killed (SIGKILL)."),
        (signal.SIGTERM, True, "The process that trained it was killed (SIGTERM)."),
        (signal.SIGSEGV, True, "The process that trained it crashed (SIGSEGV)."),
    ],
)
def test_a_signal_is_named(sent, memory_ran_out, told):
    assert processes._reason_for(sent, memory_ran_out) == told


def test_a_kill_for_lack_of_memory_says_what_to_do():
    assert "Close other programs" in processes._reason_for(signal.SIGKILL, memory_ran_out=True)


@pytest.mark.parametrize(
    ("counters", "kills"), [("nr_free_pages 5\noom_kill 7\n", 7), ("nr_free_pages 5\n", 0), ("no counters here", 0)]
)
def test_kills_for_lack_of_memory_are_counted_where_the_system_tells(counters, kills, monkeypatch):
    files = {Path("/proc/vmstat"): counters}
    monkeypatch.setattr(Path, "read_text", lambda self, encoding: files[self])
    assert out_of_memory_kills() == kills


def test_where_the_system_does_not_tell_there_are_none(monkeypatch):
    def refuse(self, encoding):
        raise FileNotFoundError(self)

    monkeypatch.setattr(Path, "read_text", refuse)
    assert out_of_memory_kills() == 0


class FakeChild:
    """A process that does nothing, and ends when the test says so."""

    def __init__(self, *arguments):
        self.arguments, self.exit_code, self.has_spoken, self.is_abandoned = arguments, None, False, False
        self.deadlines, self.is_killed = [], False

    @property
    def has_ended(self):
        return self.exit_code is not None

    def last_words(self):
        return "No cluster answers at 10.0.0.1."

    def abandon(self):
        self.is_abandoned = True

    def kill(self):
        self.is_killed = True

    def wait_until(self, deadline):
        self.deadlines.append(deadline)


@pytest.fixture
def children(monkeypatch):
    """Return the processes that are started, which do nothing."""
    started = []

    def start(*arguments):
        started.append(FakeChild(*arguments))
        return started[-1]

    monkeypatch.setattr(processes, "Child", start)
    monkeypatch.setattr(processes, "worker_process", start)
    return started


@pytest.fixture
def clock(monkeypatch):
    """Return the time that the server's side of a worker sees, in seconds, for a test to set."""
    seconds = [100.0]
    monkeypatch.setattr(processes, "time", SimpleNamespace(monotonic=lambda: seconds[0]))
    return seconds


@pytest.fixture
def with_ray(monkeypatch):
    monkeypatch.setattr(processes.importlib.util, "find_spec", lambda name: object())


@pytest.mark.usefixtures("clock", "with_ray")
def test_runs_are_sent_by_one_process_which_is_connected_when_it_speaks(children):
    sender = ClusterSender("a-sweep")
    for _ in range(3):
        sender.look_after()
    (child,) = children
    assert child.arguments[-1] == "a-sweep"
    assert not sender.was_connected
    sender.problem = "what was wrong before"
    child.has_spoken = True
    sender.look_after()
    assert (sender.problem, sender.was_connected) == (None, True)
    sender.wait_until(7.0)
    sender.abandon()
    assert (child.deadlines, child.is_abandoned) == ([7.0], True)


@pytest.mark.usefixtures("with_ray")
@pytest.mark.parametrize(
    ("exit_code", "problem"),
    [
        (1, "No cluster answers at 10.0.0.1."),
        (0, "The Ray cluster is gone, or the process that sends runs to it was ended. The lab tries it again within "),
        (-9, "The Ray cluster is gone, or the process that sends runs to it was ended. The lab tries it again within "),
    ],
)
def test_a_sender_that_has_ended_says_why_and_is_started_again_after_ten_seconds(exit_code, problem, children, clock):
    sender = ClusterSender(None)
    sender.look_after()
    assert children[0].arguments[0] == "-c"
    assert len(children[0].arguments) == 2  # it sends the runs of every sweep
    children[0].exit_code = exit_code
    sender.look_after()
    assert sender.problem.startswith(problem)
    assert children[0].is_abandoned
    clock[0] += 9.9
    sender.look_after()
    assert len(children) == 1
    clock[0] += 0.1
    sender.look_after()
    assert len(children) == 2
    assert sender.problem.startswith(problem)  # until it is connected


def test_without_ray_it_is_said_how_to_get_it(children, monkeypatch):
    monkeypatch.setattr(processes.importlib.util, "find_spec", lambda name: None)
    sender = ClusterSender(None)
    sender.look_after()
    assert "Install it (pip install -r cnnlab/requirements-ray.txt)" in sender.problem
    assert children == []
    sender.abandon()
    sender.wait_until(0.0)  # there is nothing to wait for


def new_run():
    return create_run(DEFINITIONS["module"], TrainingConfig(epochs=1))


@pytest.mark.usefixtures("children")
def test_a_run_that_does_not_wait_is_not_trained():
    run, worker = new_run(), Worker()
    with pytest.raises(RunBusy, match="does not wait any more"):
        worker.train(run)
    assert worker.run is None
    assert not worker.is_getting_ready


def test_a_worker_without_a_run_has_nothing_to_bring_to_an_end(children):
    worker = Worker()
    worker.abandon()
    assert (children[0].is_abandoned, children[0].is_killed) == (True, True)


def test_a_worker_that_trains_is_left_to_write_its_checkpoint(children):
    worker = Worker()
    worker.run = new_run()
    worker.abandon()
    assert (children[0].is_abandoned, children[0].is_killed) == (True, False)


@pytest.mark.parametrize("exit_code", [None, 0, 1, 2])
def test_a_worker_that_was_not_ended_by_a_signal_says_for_itself_how_it_went(exit_code, children):
    worker, run = Worker(), new_run()
    worker.run = run
    children[0].exit_code = exit_code
    before = run.last_event()
    worker.tell_how_it_died()
    assert run.last_event() == before


@pytest.mark.parametrize(
    ("kills", "told"),
    [(3, "The process that trained it was killed (SIGKILL)."), (4, "The system killed the process that trained it")],
)
def test_a_worker_that_a_signal_ended_leaves_the_reason_in_the_log(kills, told, children, monkeypatch):
    monkeypatch.setattr(processes, "out_of_memory_kills", lambda: 3)
    worker, run = Worker(), new_run()
    worker.run = run
    children[0].exit_code = -signal.SIGKILL
    monkeypatch.setattr(processes, "out_of_memory_kills", lambda: kills)
    worker.tell_how_it_died()
    assert run.history().reason.startswith(told)


def test_the_first_of_all_signals_is_one_too(children):
    worker, run = Worker(), new_run()
    worker.run = run
    children[0].exit_code = -signal.SIGHUP
    worker.tell_how_it_died()
    assert run.history().reason == "The process that trained it crashed (SIGHUP)."


def test_a_run_that_waits_again_has_no_reason(children):
    worker, run = Worker(), new_run()
    enqueue(run)
    worker.run = run
    children[0].exit_code = -signal.SIGKILL
    worker.tell_how_it_died()
    assert (run.status, run.history().reason) == (Status.QUEUED, None)


@pytest.fixture
def training(children):
    """Return a worker that trains a run, which the end of its process leaves behind."""
    worker, run = Worker(), new_run()
    worker.run = run
    with ExitStack() as held:
        writer = held.enter_context(RunWriter.claim(run))
        writer.started(step=0, device="cpu")
        children[0].kill = held.close
        yield worker, writer


def test_a_worker_that_does_not_stop_is_ended_after_eight_tenths_of_a_second(training, clock):
    worker, writer = training
    writer.append_training(BatchEvent(1, 1, 0.5, 0.1))
    worker.stop_if_asked()  # nobody has
    clock[0] += 60
    worker.run.request_stop()
    for seconds in (0.0, 0.4, 0.39):
        clock[0] += seconds
        worker.stop_if_asked()
        assert worker.run.status is Status.RUNNING
    clock[0] += 0.02
    worker.stop_if_asked()
    assert worker.run.status is Status.STOPPED


@pytest.mark.usefixtures("clock")
def test_a_worker_that_gets_ready_is_ended_at_once(training):
    worker, _ = training
    worker.run.request_stop()
    worker.stop_if_asked()
    assert worker.run.status is Status.STOPPED


def test_a_run_that_has_ended_meanwhile_keeps_its_end(training, clock, children):
    worker, writer = training
    writer.append_training(BatchEvent(1, 1, 0.5, 0.1))
    worker.run.request_stop()
    worker.stop_if_asked()
    clock[0] += 2
    release = children[0].kill

    def finish_and_end():
        writer.finished()
        release()

    children[0].kill = finish_and_end
    worker.stop_if_asked()
    assert worker.run.status is Status.FINISHED
