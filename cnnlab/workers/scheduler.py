"""The scheduler: decides which queued runs train now, and starts and stops the workers that train them."""

import atexit
import json
import os
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from cnnlab.errors import LabError
from cnnlab.runs.log import Status
from cnnlab.runs.queue import enqueue, note_turn
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import all_runs, remove_leftovers
from cnnlab.runs.writer import RunBusy, RunWriter
from cnnlab.storage.cores import available_cores
from cnnlab.storage.files import replacing
from cnnlab.storage.home import home, home_error, writing_to_home
from cnnlab.sweeps.search import advance_searches
from cnnlab.sweeps.sweep import settle_sweeps, waiting_runs_of
from cnnlab.workers.processes import ClusterSender, Worker
from cnnlab.workers.settings import parallel_runs, settings_path

_STOP_LOOK_SECONDS = 0.1
_QUEUE_LOOK_SECONDS = 1.0
_CLOSE_GRACE_SECONDS = 5.0


class Scheduler:
    """Starts queued runs while there are free cores, one worker process for each.

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
        self._workers: list[Worker] = []
        self._spare: Worker | None = None
        self._cluster = ClusterSender(sweep_id) if "CNNLAB_RAY_ADDRESS" in os.environ else None
        self._problem: str | None = None
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._lock = threading.Lock()  # two pages may act at once, and the thread beside them
        self._thread = threading.Thread(target=self._watch, name="scheduler", daemon=True)
        self._thread.start()

    def start(self, run: Run) -> None:
        """Queue a new run, or one that can resume.

        Raises
        ------
        RunBusy, RunFinished, HomeError
            If it cannot be queued.
        """
        enqueue(run)
        self._wake.set()

    def stop(self, run: Run) -> None:
        """Take a run out of the queue, or stop its training; it keeps its weights and a checkpoint."""
        with self._lock:
            if run.status is Status.QUEUED:
                with writing_to_home(), RunWriter.claim(run) as writer:
                    writer.stopped()
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
            with replacing(settings_path()) as unfinished:
                unfinished.write_text(json.dumps({"parallel_runs": count}), encoding="utf-8")
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

    @property
    def problem(self) -> str | None:
        """Why runs that wait could not be started at the last look, in a sentence; None if nothing was wrong."""
        return self._problem

    def close(self) -> None:
        """Ask every worker to write its checkpoint and exit, and kill those that take too long."""
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
        with self._telling():
            remove_leftovers()
            settle_sweeps()
        next_look_at_queue = time.monotonic()
        while not self._closed.is_set():
            with self._telling():
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
            if self._wake.wait(timeout=_STOP_LOOK_SECONDS if self._workers else _QUEUE_LOOK_SECONDS):
                self._wake.clear()
                next_look_at_queue = time.monotonic()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Keep what goes wrong for the pages: the next look may find it mended, and the other runs must not wait."""
        try:
            with writing_to_home():
                yield
        except LabError as error:
            self._problem = str(error)
        except Exception as error:
            traceback.print_exc()
            self._problem = f"The lab has a fault: {type(error).__name__}: {error}."

    def _look_at_workers(self) -> None:
        for worker in self._workers:
            worker.stop_if_asked()
            worker.tell_how_it_died()
        self._workers = [worker for worker in self._workers if not worker.has_ended]

    def _look_at_queue(self) -> None:
        if self._cluster:
            self._cluster.look_after()
        else:
            self._start_waiting_runs()
            if self._spare is None and not any(worker.is_getting_ready for worker in self._workers):
                self._spare = Worker()

    def _start_waiting_runs(self) -> None:
        waiting, self._problem = waiting_runs_of(self._sweep_id), None
        if not waiting:
            return
        training = [run for run in all_runs() if run.status is Status.RUNNING]
        for run in waiting:
            if not self._has_room(run, training):
                return  # nor do those behind it start: they would make it wait longer
            worker, self._spare = self._spare, None
            if worker is None or worker.has_ended:
                worker = Worker()
            try:
                worker.train(run)
            except (OSError, LabError) as error:  # its folder cannot be written; the next one's can
                if not isinstance(error, RunBusy):  # nothing is wrong where another server was first
                    self._problem = str(home_error(error) if isinstance(error, OSError) else error)
                if worker.run is None:
                    self._spare = worker
                else:
                    worker.abandon()
                continue
            note_turn(run)
            self._workers.append(worker)
            training.append(run)

    def _has_room(self, run: Run, training: list[Run]) -> bool:
        if (limit := self.parallel_runs) is not None:
            return len(training) < limit
        threads = sum(each.config.threads for each in [*training, run])
        return not training or threads <= available_cores()


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
