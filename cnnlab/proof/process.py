"""Has a process of its own prove that two networks are one, and keeps what it finds in the lab's home.

    equivalence/KEY.jsonl       the findings, one a line, as they come
    equivalence/KEY-1.py, -2.py the two, where they are not the tutorial's
    equivalence/KEY.errors.txt  what the process wrote to its standard error
    equivalence/lock            held by the process that proves something now; there is one at a time

KEY stands for all that the findings depend on, so a changed definition or another PyTorch is proved again.
"""

import atexit
import hashlib
import inspect
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import torch

from cnnlab.errors import LabError
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.models.reading import building
from cnnlab.proof import equivalence, weights
from cnnlab.proof.equivalence import SEED, STEPS, Finding, Finished
from cnnlab.storage.home import home, writing_to_home
from cnnlab.storage.locks import is_locked, try_lock
from cnnlab.storage.processes import start_python

_ERROR_LINES = 5
_LOCK_PATIENCE_SECONDS = 0.2


class ProofFailed(LabError):
    """The process that proves ended before it had found all."""


@dataclass(frozen=True)
class Progress:
    """How far a proof is.

    Attributes
    ----------
    findings
        What was found so far, in the order of `cnnlab.proof.equivalence.prove_equivalence`.
    is_running
        Whether a process proves something now.
    failure
        Why the proof has ended without being finished, where it has.
    """

    findings: tuple[Finding, ...]
    is_running: bool
    failure: ProofFailed | None = None

    @property
    def has_begun(self) -> bool:
        """Whether there is anything to see, or soon will be."""
        return self.is_running or self.has_ended

    @property
    def is_finished(self) -> bool:
        """Whether everything was found."""
        return bool(self.findings) and isinstance(self.findings[-1], Finished)

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come, and nothing is in the way of another proof."""
        return not self.is_running and (self.is_finished or self.failure is not None)


class Proof:
    """The proof for the tutorial's definitions as they are now, or for two other networks.

    Parameters
    ----------
    steps, seed
        Those of `cnnlab.proof.equivalence.prove_equivalence`.
    pair
        The sources of two networks that can be trained; none for the tutorial's.
    """

    def __init__(self, steps: int = STEPS, seed: int = SEED, pair: tuple[str, ...] = ()) -> None:
        self._steps, self._seed = steps, seed
        self._folder = home() / "equivalence"
        key = _key(steps, seed, pair)
        self._pair = {self._folder / f"{key}-{number}.py": source for number, source in enumerate(pair, start=1)}
        self._findings_path = self._folder / f"{key}.jsonl"
        self._errors_path = self._findings_path.with_suffix(".errors.txt")
        self._lock_path = self._folder / "lock"

    def progress(self) -> Progress:
        """Return how far the proof is, without waiting."""
        is_running = self._is_locked()  # asked first: once nobody writes, what is read next is all there will be
        try:
            text = self._findings_path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return Progress((), is_running)
        whole_lines = text[: text.rfind("\n") + 1].splitlines()
        try:
            progress = Progress(tuple(equivalence.from_json(line) for line in whole_lines), is_running)
        except (ValueError, KeyError, TypeError):
            damaged = ProofFailed(f"{self._findings_path} is damaged. Have it proved again.")
            return Progress((), is_running, damaged)
        if is_running or progress.is_finished:
            return progress
        return Progress(progress.findings, is_running, self._failure())

    def start(self) -> None:
        """Have a process prove it from the beginning, unless one proves something already.

        Raises
        ------
        HomeError
            If the home cannot be written.
        """
        options = ["--json", "--steps", str(self._steps), "--seed", str(self._seed)]
        with writing_to_home():
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._lock_path.open("ab") as lock:
                if not try_lock(lock, _LOCK_PATIENCE_SECONDS):
                    return
                for path, source in self._pair.items():
                    path.write_text(source, encoding="utf-8")
                with self._findings_path.open("wb") as findings, self._errors_path.open("wb") as errors:
                    process = start_python(
                        *("-m", "cnnlab", "equivalence", *options, *map(str, self._pair)),
                        stdin=subprocess.DEVNULL,
                        stdout=findings,
                        stderr=errors,
                        pass_fds=(lock.fileno(),),  # the lock is held until the process has ended, however it ends
                    )
        with _started_lock:
            for ended in [each for each in _started if each.poll() is not None]:
                del _started[ended]
            _started[process] = self._findings_path

    def _is_locked(self) -> bool:
        try:
            with self._lock_path.open("rb") as lock:
                return is_locked(lock)
        except FileNotFoundError:
            return False

    def _failure(self) -> ProofFailed:
        lines = (
            self._errors_path.read_text(encoding="utf-8", errors="replace").splitlines()
            if self._errors_path.exists()
            else []
        )
        told = " ".join(lines[-_ERROR_LINES:]) or "it said nothing about why"
        return ProofFailed(f"The process that proves this ended too early: {told}. Have it proved again.")


def end_proofs() -> None:
    """End the processes that this one has started, and forget the halves of proofs that they leave."""
    with _started_lock:
        for process, findings_path in _started.items():
            if process.poll() is None:
                process.kill()
                process.wait()
                findings_path.unlink(missing_ok=True)
        _started.clear()


# The processes that this one has started, and the files that take what they find.
_started: dict[subprocess.Popen[bytes], Path] = {}
_started_lock = threading.Lock()
atexit.register(end_proofs)


def _key(steps: int, seed: int, pair: tuple[str, ...]) -> str:
    """Return a name for all that the findings, and the form in which they are kept, depend on."""
    sources = pair or [DEFINITIONS[name].source for name in ("sequential", "module")]
    code = [inspect.getsource(each) for each in (equivalence, weights, *([building] if pair else []))]
    told = [*sources, *code, torch.__version__, str(steps), str(seed)]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]
