"""Runs the loops of a benchmark in turn, each in a process of its own."""

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from cnnlab import TRAINING_ENVIRONMENT
from cnnlab.bench.loops import LOOPS, Loop
from cnnlab.bench.peak import peak_operations
from cnnlab.bench.report import Measurement, Timing
from cnnlab.errors import LabError
from cnnlab.fused.compiler import CannotFuse
from cnnlab.storage.files import unfinished_suffix
from cnnlab.storage.home import home, writing_to_home
from cnnlab.storage.processes import start_python

ROUNDS = 8
CHUNK = 100
# All rounds together must not be longer than a run can be.
MAX_ROUNDS = 500
_CPU_ALONE = {"CUDA_VISIBLE_DEVICES": ""}  # some libraries take a GPU without being told to


class LoopEnded(LabError):
    """The process of a loop ended before it was told to."""


def measure(
    rounds: int, chunk: int, threads: int, tell: Callable[[str], None], loops: Mapping[str, Loop] = LOOPS
) -> Measurement:
    """Measure each loop whose packages are installed.

    Parameters
    ----------
    rounds
        How many chunks each loop trains, after some batches to warm up.
    chunk
        The batches of a chunk, at most `MAX_CHUNK`.
    threads
        The threads of each loop.
    tell
        Called with a line now and then that says how far it is.
    loops
        The loops, by their names: the tutorial's and the lab's, unless others are given.

    Raises
    ------
    HomeError
        If the lab's home cannot be written.
    """
    left_out = {loop.name: missing for loop in loops.values() if (missing := loop.missing_packages())}
    failures: list[str] = []
    with _home_for_a_while() as folder, ExitStack() as until_the_end:
        processes = []
        for loop in loops.values():
            if loop.name not in left_out:
                process = until_the_end.enter_context(_LoopProcess(loop, folder, threads))
                tell(f"Getting {loop.name} ready")
                processes += _those_that_go_on([process], _LoopProcess.wait_until_ready, failures)
        peaks = []
        for number in range(1, rounds + 1):
            tell(f"Round {number:,} of {rounds:,}")
            processes = _those_that_go_on(processes, lambda process: process.train(chunk), failures)
            with suppress(CannotFuse):
                peaks.append(peak_operations(threads))
    timings = [Timing(process.loop.name, process.seconds, process.versions) for process in processes]
    return Measurement(chunk, threads, timings, peaks, left_out, failures)


@contextmanager
def _home_for_a_while() -> Iterator[Path]:
    """Make a temporary home for the benchmark's runs, on the disk that real runs are written to."""
    with writing_to_home():
        home().mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(
            dir=home(), prefix=".bench.", suffix=unfinished_suffix(), ignore_cleanup_errors=True
        )
    with folder as path:
        yield Path(path)


class _LoopProcess:
    """A process that trains a loop when it is told to.

    Attributes
    ----------
    seconds, versions
        What it has told so far.
    """

    def __init__(self, loop: Loop, folder: Path, threads: int) -> None:
        self.loop = loop
        self.seconds: list[float] = []
        self.versions: dict[str, str] = {}
        self._errors_path = folder / f"{loop.name}.errors.txt"
        with self._errors_path.open("wb") as errors:
            self._process = start_python(
                *(*loop.command, loop.name, str(threads)),
                stdin=subprocess.PIPE,  # its end tells the process that this one is gone
                stdout=subprocess.PIPE,
                stderr=errors,
                environment={
                    **_base_environment(loop),
                    **_CPU_ALONE,
                    "CNNLAB_HOME": str(folder),
                    **loop.environment,
                },
            )

    def wait_until_ready(self) -> None:
        self.versions = self._reply()

    def train(self, batches: int) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # that no reply comes will tell
            self._process.stdin.write(b"%d\n" % batches)
            self._process.stdin.flush()
        self.seconds.append(self._reply())

    def _reply(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise LoopEnded(f"The loop {self.loop.name} ended too early {self._how_it_ended()}.")
        return json.loads(line)

    def _how_it_ended(self) -> str:
        code = self._process.wait()
        how = f"with exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
        lines = self._errors_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"{how}: {lines[-1].removesuffix('.')}" if lines else f"{how}, and said nothing about why"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)  # nothing that it still does is of any use
        with suppress(BrokenPipeError), self._process:
            pass


def _base_environment(loop: Loop) -> dict[str, str]:
    """Return the environment of a user's shell, or the lab's for its own loops; `cnnlab.__main__` has mixed the two."""
    users = {name: value for name, value in os.environ.items() if TRAINING_ENVIRONMENT.get(name) != value}
    return TRAINING_ENVIRONMENT | users if loop.is_the_labs else users


def _those_that_go_on(
    processes: Iterable[_LoopProcess], ask: Callable[[_LoopProcess], None], failures: list[str]
) -> list[_LoopProcess]:
    going_on = []
    for process in processes:
        try:
            ask(process)
            going_on.append(process)
        except LoopEnded as error:
            failures.append(str(error))
    return going_on
