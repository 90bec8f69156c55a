"""The processes that train runs, seen from the server."""

import contextlib
import importlib.util
import os
import signal
import socket
import time
from pathlib import Path

from cnnlab.errors import LabError
from cnnlab.runs.log import Status, status_said_by
from cnnlab.runs.run import Run
from cnnlab.runs.writer import RunBusy, RunWriter
from cnnlab.storage.home import writing_to_home
from cnnlab.workers.child import Child, worker_process

# A worker looks for a wish to stop after each batch; one that has not by then (a batch can be the whole training set)
# is ended, and the run goes on later from its last checkpoint.
_STOP_GRACE_SECONDS = 0.8
_CLUSTER_RETRY_SECONDS = 10.0


class Worker:
    """A process that warms up, and then trains the run that it is sent."""

    def __init__(self) -> None:
        self._process = worker_process()
        self.run: Run | None = None
        self._kills = out_of_memory_kills()
        self._stop_seen: float | None = None

    def train(self, run: Run) -> None:
        """Send it a queued run, with the run's lock.

        Raises
        ------
        RunBusy
            If the run does not wait any more.
        """
        with RunWriter.claim(run) as writer:
            if run.status is not Status.QUEUED:
                raise RunBusy(f"{run.name} does not wait any more.")
            writer.starting()
            # What it wrote before it had a run is the run's from now on.
            with contextlib.suppress(OSError):  # without it, a failure is explained with fewer words
                self._process.errors.replace(run.errors_path)
            self.run = run
            with contextlib.suppress(BrokenPipeError):  # it has just died: the run shows as interrupted, and why
                socket.send_fds(self._process.socket, [os.fsencode(run.folder)], [writer.fileno()])

    @property
    def has_ended(self) -> bool:
        return self._process.has_ended

    @property
    def is_getting_ready(self) -> bool:
        return self.run is not None and self.run.is_getting_ready

    def abandon(self) -> None:
        self._process.abandon()
        if self.run is None:  # it has nothing to bring to an end
            self._process.kill()

    def wait_until(self, deadline: float) -> None:
        self._process.wait_until(deadline)

    def tell_how_it_died(self) -> None:
        """Log it where the system has ended the process, which could not do that itself."""
        exit_code = self._process.exit_code
        if self.run is None or exit_code is None or exit_code >= 0:
            return
        with contextlib.suppress(LabError), writing_to_home(), RunWriter.claim(self.run) as writer:
            if status_said_by(self.run.last_event()) is None:
                writer.interrupted(_reason_for(signal.Signals(-exit_code), out_of_memory_kills() > self._kills))

    def stop_if_asked(self) -> None:
        if not self.run or not self.run.stop_requested or self.run.status is not Status.RUNNING:
            return
        self._stop_seen = self._stop_seen or time.monotonic()
        if self.run.is_getting_ready or time.monotonic() - self._stop_seen > _STOP_GRACE_SECONDS:
            self._process.kill()
            with RunWriter.claim(self.run) as writer:
                if self.run.status is not Status.RUNNING:  # it came to its own end in the meantime
                    return
                writer.go_back_to_checkpoint()
                writer.stopped()


def _reason_for(sent: signal.Signals, memory_ran_out: bool) -> str:
    if sent is signal.SIGKILL and memory_ran_out:
        return (
            "The system killed the process that trained it, since memory had run out. Close other programs, or let "
            "fewer runs train at once."
        )
    if sent in (signal.SIGKILL, signal.SIGTERM):
        return f"The process that trained it was killed ({sent.name})."
    return f"The process that trained it crashed ({sent.name})."


def out_of_memory_kills() -> int:
    """Return how many processes Linux has killed for lack of memory since it started; 0 where it does not tell.

    References
    ----------
    The Linux kernel's documentation: /proc/vmstat, oom_kill.
    """
    with contextlib.suppress(OSError, ValueError):
        counters = dict(line.split() for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines())
        return int(counters.get("oom_kill", 0))
    return 0


class ClusterSender:
    """The process that sends waiting runs to a Ray cluster (`cnnlab.workers.cluster`), restarted when it has ended."""

    def __init__(self, sweep_id: str | None) -> None:
        self.problem: str | None = None
        self.was_connected = False
        self._arguments = [sweep_id] if sweep_id else []
        self._process: Child | None = None
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
            code = "import sys; from cnnlab.workers.cluster import main; sys.exit(main(*sys.argv[1:]))"
            self._process = Child("-c", code, *self._arguments)
        if self._process and self._process.has_spoken:  # it is connected
            self.problem = None
            self.was_connected = True

    def abandon(self) -> None:
        if self._process:
            self._process.abandon()

    def wait_until(self, deadline: float) -> None:
        if self._process:
            self._process.wait_until(deadline)
