"""The queue: decides which runs train now, and starts and stops the processes that train them."""

import atexit
import contextlib
import json
import os
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
from cnnlab.home import home, replacing, unfinished_suffix, writing_to_home
from cnnlab.runs import Run, RunBusy, RunWriter, Status, all_runs, remove_leftovers, waiting_runs
from cnnlab.training import available_cores

MAX_PARALLEL_RUNS = 16

# A worker looks for a wish to stop after each batch; one that has not by then (a batch can be the whole training set)
# is ended, and the run goes on later from its last checkpoint.
_STOP_GRACE_SECONDS = 0.8
_STOP_LOOK_SECONDS = 0.1
_QUEUE_LOOK_SECONDS = 1.0
_CLOSE_GRACE_SECONDS = 5.0
_PROJECT = Path(__file__).parent.parent


class Scheduler:
    """Starts waiting runs while there is room, one worker process for each.

    The queue itself is on disk: whatever waits in the lab's home is started, whoever put it there, and runs that other
    processes train count too. A thread looks after it from the first moment on. It also keeps one worker ready that has
    no run yet, so that the next run need not wait for Python, PyTorch and MNIST.
    """

    def __init__(self) -> None:
        self._workers: list[_Worker] = []
        self._spare: _Worker | None = None
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
        run.enqueue()
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
        try:
            settings = json.loads(_settings_path().read_text())
        except (OSError, ValueError):
            return None
        count = settings.get("parallel_runs") if isinstance(settings, dict) else None
        return count if isinstance(count, int) and 1 <= count <= MAX_PARALLEL_RUNS else None

    @parallel_runs.setter
    def parallel_runs(self, count: int | None) -> None:
        with writing_to_home():
            home().mkdir(parents=True, exist_ok=True)
            with replacing(_settings_path()) as unfinished:
                unfinished.write_text(json.dumps({"parallel_runs": count}))
        self._wake.set()

    def close(self) -> None:
        """Have every worker write its checkpoint and end; those that take too long are ended."""
        self._closed.set()
        self._wake.set()
        self._thread.join()
        workers = [*self._workers, self._spare] if self._spare else self._workers
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
                    if len(self._workers) < workers or time.monotonic() >= next_look_at_queue:
                        next_look_at_queue = time.monotonic() + _QUEUE_LOOK_SECONDS
                        self._look_at_queue()
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
        self._start_waiting_runs()
        if self._spare is None and not any(worker.is_getting_ready for worker in self._workers):
            self._spare = _Worker()

    def _start_waiting_runs(self) -> None:
        if not (waiting := waiting_runs()):
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


class _Worker:
    """A process that gets ready to train a run, and then trains the one that it is sent."""

    def __init__(self) -> None:
        self.run: Run | None = None
        self._stop_seen: float | None = None
        home().mkdir(parents=True, exist_ok=True)
        # What it writes before it has a run becomes the run's errors.txt.
        descriptor, errors = tempfile.mkstemp(prefix=".worker.", suffix=unfinished_suffix(), dir=home())
        self._errors = Path(errors)
        self._socket, its_end = socket.socketpair()  # its end tells the worker that this process is gone
        with its_end, os.fdopen(descriptor, "wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cnnlab.worker"],
                stdin=its_end.fileno(),
                stdout=output,
                stderr=output,
                start_new_session=True,  # a Ctrl-C in the terminal is this process's to handle
                env=TRAINING_ENVIRONMENT | {**os.environ, "PYTHONPATH": _python_path(), "CNNLAB_HOME": str(home())},
            )

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
            with contextlib.suppress(OSError):  # without it, a failure is told with less words
                self._errors.replace(run.errors_path)
            self.run = run
            with contextlib.suppress(BrokenPipeError):  # it has just died: the run shows as interrupted, and why
                socket.send_fds(self._socket, [os.fsencode(run.folder)], [writer.fileno()])

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def is_getting_ready(self) -> bool:
        return self.run is not None and self.run.is_getting_ready

    def abandon(self) -> None:
        self._socket.close()
        self._errors.unlink(missing_ok=True)

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
                if checkpoint := self.run.load_checkpoint():
                    writer.save_weights(checkpoint["model"])
                writer.append("stopped")

    def wait_until(self, deadline: float) -> None:
        try:
            self._process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


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


def _settings_path() -> Path:
    return home() / "settings.json"


def _python_path() -> str:
    inherited = os.environ.get("PYTHONPATH")
    return f"{_PROJECT}{os.pathsep}{inherited}" if inherited else str(_PROJECT)
