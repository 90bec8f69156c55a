"""The processes that the server starts, known to it before it has imported anything that takes a while.

To import PyTorch takes the server and a worker some two seconds each. On an empty home the first worker also decodes
MNIST and compiles the kernels, while a person may click on *Start* as soon as the page is there. So each page, before
it imports anything else, starts that worker.
"""

import contextlib
import os
import select
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from cnnlab import TRAINING_ENVIRONMENT
from cnnlab.storage.files import unfinished_suffix
from cnnlab.storage.home import home
from cnnlab.storage.processes import start_python


class Child:
    """A child process. Its standard input is a socket, which closes when this process is gone."""

    def __init__(self, *arguments: str) -> None:
        home().mkdir(parents=True, exist_ok=True)
        descriptor, errors = tempfile.mkstemp(prefix=".worker.", suffix=unfinished_suffix(), dir=home())
        self.errors = Path(errors)
        self.socket, its_end = socket.socketpair()
        try:
            with its_end, os.fdopen(descriptor, "wb") as output:
                self._process = start_python(
                    *arguments,
                    stdin=its_end.fileno(),
                    stdout=output,
                    stderr=output,
                    environment=TRAINING_ENVIRONMENT | os.environ,
                )
        except OSError:
            self.abandon()
            raise

    @property
    def has_ended(self) -> bool:
        return self.exit_code is not None

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    @property
    def has_spoken(self) -> bool:
        return bool(select.select([self.socket], [], [], 0)[0])

    def last_words(self) -> str:
        """Return the last line that it wrote."""
        return (self.errors.read_text(encoding="utf-8", errors="replace").splitlines() or [""])[-1]

    def abandon(self) -> None:
        self.socket.close()
        with contextlib.suppress(OSError):  # a home that cannot be written any more keeps no other from being ended
            self.errors.unlink(missing_ok=True)

    def wait_until(self, deadline: float) -> None:
        try:
            self._process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


_first_workers: dict[Path, Child | None] = {}  # by their homes; None once somebody has asked for one
_lock = threading.Lock()  # two pages may be opened at once


def start_first_worker() -> None:
    """Let a first worker get ready, unless it does already, or runs train on a cluster."""
    with _lock, contextlib.suppress(OSError):  # the scheduler says what is wrong with the home
        if home() not in _first_workers and "CNNLAB_RAY_ADDRESS" not in os.environ:
            _first_workers[home()] = _new_worker()


def worker_process() -> Child:
    """Return a process that gets ready for a run: the first worker, and then another one at each call."""
    with _lock:
        first, _first_workers[home()] = _first_workers.get(home()), None
    return first or _new_worker()


def _new_worker() -> Child:
    return Child("-m", "cnnlab.workers.process")
