"""The queue: decides which runs train now, and starts and stops the processes that train them."""

import atexit
import contextlib
import importlib.util
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from functools import cache
from pathlib import Path

from cnnlab import TRAINING_ENVIRONMENT
from cnnlab.errors import LabError
from cnnlab.runs.log import Status
from cnnlab.runs.queue import enqueue
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import all_runs, remove_leftovers
from cnnlab.runs.writer import RunBusy, RunWriter
from cnnlab.storage.files import replacing, unfinished_suffix
from cnnlab.storage.home import home, writing_to_home
from cnnlab.sweeps.search import advance_searches
from cnnlab.sweeps.sweep import waiting_runs_of
from cnnlab.training.recipe import available_cores

MAX_PARALLEL_RUNS = 16

# A worker looks for a wish to stop after each batch; one that has not by then (a batch can be the whole training set)
# is ended, and the run goes on later from its last checkpoint.
_STOP_GRACE_SECONDS = 0.8
_STOP_LOOK_SECONDS = 0.1
_QUEUE_LOOK_SECONDS = 1.0
_CLOSE_GRACE_SECONDS = 5.0
_CLUSTER_RETRY_SECONDS = 10.0
_PROJECT = Path(__file__).parent.parent


class Scheduler:
    """Starts waiting runs while there is room, one worker process for each.

    Parameters
    ----------
    sweep_id
        Leave all runs but those of this sweep to others.

    The queue itself is on disk: whatever waits in the lab's home is started, whoever put it there, and runs that other
    processes train count too. A thread looks after it from the first moment on. It also keeps one worker ready that has
    no run yet, so that the next run need not wait for Python, PyTorch and MNIST.
    """

    def __init__(self, sweep_id: str | None = None) -> None:
        self._sweep_id = sweep_id
        self._workers: list[_Worker] = []
        self._spare: _Worker | None = None
        self._cluster = _ClusterSender(sweep_id) if "CNNLAB_RAY_ADDRESS" in os.environ else None
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._lock = threading.Lock()  # two pages may act at once, and the thread beside them
        self._thread = threading.Thread(target=self._watch, name="scheduler", daemon=True)
        self._thread.start()

    def start(self, run: Run) -> None:
        """Queue a run that is new, or one that can go on.

        Raises
        ------
        RunBusy, RunFinished, HomeError
            If it cannot be queued.
        """
        enqueue(run)
        self._wake.set()

    def stop(self, run: Run) -> None:
        """Take a waiting run out of the queue, or stop one that trains; it keeps its weights and a checkpoint."""
        with self._lock:
            if run.status is Status.QUEUED:
                with writing_to_home(), RunWriter.claim(run) as writer:
                    writer.append("stopped")
            elif run.status is Status.RUNNING:
                run.request_stop()
        self._wake.set()

    @property
    def parallel_runs(self) -> int | None:
        """How many runs may train at once, kept in the lab's home; None for as many as have cores for their threads."""
        return parallel_runs()

    @parallel_runs.setter
    def parallel_runs(self, count: int | None) -> None:
        with writing_to_home():
            home().mkdir(parents=True, exist_ok=True)
            with replacing(_settings_path()) as unfinished:
                unfinished.write_text(json.dumps({"parallel_runs": count}))
        self._wake.set()

    @property
    def trains_on_cluster(self) -> bool:
        """Whether runs are sent to a Ray cluster, the one that ``CNNLAB_RAY_ADDRESS`` names, and none trains here."""
        return self._cluster is not None

    @property
    def cluster_problem(self) -> str | None:
        """Why runs cannot be sent to the cluster now, in a sentence; None if they can, or are not meant to be."""
        return self._cluster.problem if self._cluster else None

    @property
    def was_on_cluster(self) -> bool:
        """Whether runs could be sent to the cluster at some time."""
        return self._cluster is not None and self._cluster.was_connected

    def close(self) -> None:
        """Have every worker write its checkpoint and end; those that take too long are ended."""
        self._closed.set()
        self._wake.set()
        self._thread.join()
        workers = [worker for worker in (*self._workers, self._spare, self._cluster) if worker]
        for worker in workers:
            worker.abandon()
        deadline = time.monotonic() + _CLOSE_GRACE_SECONDS
        for worker in workers:
            worker.wait_until(deadline)

    def _watch(self) -> None:
        remove_leftovers()
        next_look_at_queue = time.monotonic()
        while not self._closed.is_set():
            try:
                with self._lock:
                    workers = len(self._workers)
                    self._look_at_workers()
                    # With thousands of runs in the home, to look for those that wait costs too much to do it always.
                    is_due = len(self._workers) < workers or time.monotonic() >= next_look_at_queue
                    if is_due:
                        next_look_at_queue = time.monotonic() + _QUEUE_LOOK_SECONDS
                        self._look_at_queue()
                if is_due:
                    advance_searches(self._sweep_id)
            except (OSError, LabError):
                pass  # a folder vanished, or the home was full, for a moment; the next look finds what is then there
            except Exception:  # whatever it was, the other runs must not wait for ever
                traceback.print_exc()
            if self._wake.wait(timeout=_STOP_LOOK_SECONDS if self._workers else _QUEUE_LOOK_SECONDS):
                self._wake.clear()
                next_look_at_queue = time.monotonic()

    def _look_at_workers(self) -> None:
        for worker in self._workers:
            worker.stop_if_asked()
        self._workers = [worker for worker in self._workers if not worker.has_ended]

    def _look_at_queue(self) -> None:
        if self._cluster:
            self._cluster.look_after()
        else:
            self._start_waiting_runs()
            if self._spare is None and not any(worker.is_getting_ready for worker in self._workers):
                self._spare = _Worker()

    def _start_waiting_runs(self) -> None:
        if not (waiting := waiting_runs_of(self._sweep_id)):
            return
        training = [run for run in all_runs() if run.status is Status.RUNNING]
        for run in waiting:
            if not self._has_room(run, training):
                return  # nor do those behind it start: they would make it wait longer
            worker, self._spare = self._spare, None
            if worker is None or worker.has_ended:
                worker = _Worker()
            try:
                worker.train(run)
            except (OSError, LabError):  # another server was first, or its folder cannot be written; the next one's can
                if worker.run is None:
                    self._spare = worker
                else:
                    worker.abandon()
                continue
            self._workers.append(worker)
            training.append(run)

    def _has_room(self, run: Run, training: list[Run]) -> bool:
        if (limit := self.parallel_runs) is not None:
            return len(training) < limit
        threads = sum(each.config.threads for each in [*training, run])
        return not training or threads <= available_cores()


class _Process:
    """A process of this lab. Its standard input is a socket, whose end tells it that this process is gone."""

    def __init__(self, *arguments: str) -> None:
        home().mkdir(parents=True, exist_ok=True)
        descriptor, errors = tempfile.mkstemp(prefix=".worker.", suffix=unfinished_suffix(), dir=home())
        self._errors = Path(errors)
        self._socket, its_end = socket.socketpair()
        with its_end, os.fdopen(descriptor, "wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=its_end.fileno(),
                stdout=output,
                stderr=output,
                start_new_session=True,  # a Ctrl-C in the terminal is this process's to handle
                env=TRAINING_ENVIRONMENT | {**os.environ, "PYTHONPATH": _python_path(), "CNNLAB_HOME": str(home())},
            )

    @property
    def has_ended(self) -> bool:
        return self.exit_code is not None

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    @property
    def has_spoken(self) -> bool:
        return bool(select.select([self._socket], [], [], 0)[0])

    def last_words(self) -> str:
        """Return the last line that it wrote."""
        return (self._errors.read_text(errors="replace").splitlines() or [""])[-1]

    def abandon(self) -> None:
        self._socket.close()
        self._errors.unlink(missing_ok=True)

    def wait_until(self, deadline: float) -> None:
        try:
            self._process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class _Worker(_Process):
    """A process that gets ready to train a run, and then trains the one that it is sent."""

    def __init__(self) -> None:
        super().__init__("-m", "cnnlab.worker")
        self.run: Run | None = None
        self._stop_seen: float | None = None

    def train(self, run: Run) -> None:
        """Send it a run that waits, with the run's lock.

        Raises
        ------
        RunBusy
            If the run does not wait any more.
        """
        with RunWriter.claim(run) as writer:
            if run.status is not Status.QUEUED:
                raise RunBusy(f"{run.name} does not wait any more.")
            writer.append("starting")
            # What it wrote before it had a run is the run's from now on.
            with contextlib.suppress(OSError):  # without it, a failure is told with less words
                self._errors.replace(run.errors_path)
            self.run = run
            with contextlib.suppress(BrokenPipeError):  # it has just died: the run shows as interrupted, and why
                socket.send_fds(self._socket, [os.fsencode(run.folder)], [writer.fileno()])

    @property
    def is_getting_ready(self) -> bool:
        return self.run is not None and self.run.is_getting_ready

    def abandon(self) -> None:
        super().abandon()
        if self.run is None:  # it has nothing to bring to an end
            self._process.kill()

    def stop_if_asked(self) -> None:
        if not self.run or not self.run.stop_requested or self.run.status is not Status.RUNNING:
            return
        self._stop_seen = self._stop_seen or time.monotonic()
        if self.run.is_getting_ready or time.monotonic() - self._stop_seen > _STOP_GRACE_SECONDS:
            self._process.kill()
            self._process.wait()
            with RunWriter.claim(self.run) as writer:
                if self.run.status is not Status.RUNNING:  # it came to its own end in the meantime
                    return
                writer.end_at_checkpoint("stopped")


class _ClusterSender:
    """The process that sends waiting runs to a Ray cluster (`cnnlab.cluster`), begun again when it has ended."""

    def __init__(self, sweep_id: str | None) -> None:
        self.problem: str | None = None
        self.was_connected = False
        self._arguments = [sweep_id] if sweep_id else []
        self._process: _Process | None = None
        self._next_try = time.monotonic()

    def look_after(self) -> None:
        if importlib.util.find_spec("ray") is None:
            self.problem = (
                "CNNLAB_RAY_ADDRESS is set, and Ray is not installed. Install it (pip install -r "
                "cnnlab/requirements-ray.txt), or unset CNNLAB_RAY_ADDRESS to train on this machine alone."
            )
            return
        if self._process and self._process.has_ended:
            # Ray itself ends the process, with words of its own, when it finds that its cluster is gone.
            self.problem = (
                self._process.last_words()
                if self._process.exit_code == 1
                else "The Ray cluster is gone, or the process that sends runs to it was ended. The lab tries it again "
                "within ten seconds."
            )
            self.abandon()
            self._process = None
            self._next_try = time.monotonic() + _CLUSTER_RETRY_SECONDS
        if self._process is None and time.monotonic() >= self._next_try:
            # Not with -m: Ray cannot give the functions of a module that is called __main__ to other machines.
            code = "import sys, cnnlab.cluster; sys.exit(cnnlab.cluster.main(*sys.argv[1:]))"
            self._process = _Process("-c", code, *self._arguments)
        if self._process and self._process.has_spoken:  # it is connected
            self.problem = None
            self.was_connected = True

    def abandon(self) -> None:
        if self._process:
            self._process.abandon()

    def wait_until(self, deadline: float) -> None:
        if self._process:
            self._process.wait_until(deadline)


def scheduler() -> Scheduler:
    """Return this process's scheduler, made at the first call and closed when the process ends."""
    with _making:
        return _made_scheduler()


_making = threading.Lock()


@cache
def _made_scheduler() -> Scheduler:
    made = Scheduler()
    atexit.register(made.close)
    return made


def parallel_runs() -> int | None:
    """Return how many runs may train at once, as `Scheduler.parallel_runs` has it."""
    try:
        settings = json.loads(_settings_path().read_text())
    except (OSError, ValueError):
        return None
    count = settings.get("parallel_runs") if isinstance(settings, dict) else None
    return count if isinstance(count, int) and 1 <= count <= MAX_PARALLEL_RUNS else None


def _settings_path() -> Path:
    return home() / "settings.json"


def _python_path() -> str:
    inherited = os.environ.get("PYTHONPATH")
    return f"{_PROJECT}{os.pathsep}{inherited}" if inherited else str(_PROJECT)
