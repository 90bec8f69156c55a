"""The language of a run's log: the lines that are written, and the status, losses and epochs that are read off them."""

import json
import os
import threading
from array import array
from bisect import bisect_right
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from zlib import crc32

import numpy as np

from cnnlab.runs.folder import DamagedRun, UnreadableRun, require_readable_format
from cnnlab.training.events import BatchEvent, EpochEvent, Event
from cnnlab.training.optimizers import with_change
from cnnlab.training.recipe import SETTINGS

if TYPE_CHECKING:
    import pandas as pd

# Enough steps that the speed is steady, few enough that it follows when the machine gets busy.
_SPEED_STEPS = 200


class Status(StrEnum):
    """What a run is doing, or how it ended."""

    QUEUED = "queued"
    RUNNING = "running"
    STOPPED = "stopped"  # by a person
    INTERRUPTED = "interrupted"  # by a crash, or by the end of the server
    FAILED = "failed"
    FINISHED = "finished"

    @property
    def is_active(self) -> bool:
        """Whether the run trains, or will without anyone doing anything."""
        return self in (Status.QUEUED, Status.RUNNING)


class Line(StrEnum):
    """The lines of a log that settle no status."""

    STARTING = "starting"
    STARTED = "started"
    BATCH = "batch"
    EPOCH = "epoch"
    CHECKPOINT = "checkpoint"  # the first
    LEARNING_RATE = "learning rate"  # another one, from a step on


def line_of(record: dict[str, Any]) -> bytes:
    """Return a record as a line of the log: JSON that ends with a sum (CRC-32) of what stands before it."""
    text = json.dumps(record).encode()
    return b"%b%b%d}\n" % (text[:-1], _SUM, crc32(text))


# No record has it inside: in JSON, each " that belongs to a text has a backslash before it.
_SUM = b', "crc": '


def training_line(event: Event) -> dict[str, Any]:
    """Return the line for what the training loop has told; it has no time of day."""
    kind = Line.BATCH if isinstance(event, BatchEvent) else Line.EPOCH
    return {"event": kind, **{name: value for name, value in asdict(event).items() if value is not None}}


@dataclass(frozen=True)
class History:
    """What a run's log says so far.

    Attributes
    ----------
    batches
        A row for each step: step, loss, seconds (of training, since the run began).
    epochs
        A row for each epoch, with the fields of `EpochEvent`; those of validation, and `pen_accuracy`, only if there
        are any.
    starts
        The steps that were done each time a worker began or went on; empty while the run waits or gets ready.
    reason
        Why the run ended, where the log says so.
    kernels, kernels_reason
        As `TrainingState` has them, of the last start; None before it.
    had_checkpoint
        Whether the run has had a checkpoint.
    learning_rates
        Those that were set meanwhile, by the steps (from 1) from which they hold, in order.
    takes_wishes
        Whether what trains it, or trained it last, looks for another learning rate.
    """

    batches: "pd.DataFrame"
    epochs: "pd.DataFrame"
    starts: list[int]
    reason: str | None
    kernels: str | None = None
    kernels_reason: str | None = None
    had_checkpoint: bool = False
    learning_rates: dict[int, float] = field(default_factory=dict)
    takes_wishes: bool = False

    @property
    def step(self) -> int:
        """The steps that are done."""
        return int(self.batches["step"].iloc[-1]) if len(self.batches) else 0

    @property
    def steps_per_second(self) -> float | None:
        """How fast training went over the last steps; None before there are two."""
        recent = self.batches.tail(_SPEED_STEPS)
        if len(recent) < 2:
            return None
        return float((len(recent) - 1) / (recent["seconds"].iloc[-1] - recent["seconds"].iloc[0]))


_GREATEST = 1e150  # a loss of more could not be squared; no step, and no time, comes near
_SETTLED = {Status.QUEUED, Status.STOPPED, Status.INTERRUPTED, Status.FAILED, Status.FINISHED}


def status_said_by(event: str | None) -> Status | None:
    """Return the status that a log's last event settles alone; the others leave it to the lock."""
    return Status(event) if event in _SETTLED else None


@lru_cache(maxsize=16_384)
def epochs_in(log_path: Path, _size: int, _modified: int) -> tuple[EpochEvent, ...]:
    return log_reader(log_path).epochs()


@lru_cache(maxsize=16_384)
def learning_rates_in(log_path: Path, _size: int, _modified: int) -> dict[int, float]:
    return log_reader(log_path).learning_rates()


@lru_cache(maxsize=16_384)
def last_record_in(log_path: Path, _size: int, _modified: int) -> dict[str, Any] | None:
    with log_path.open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        span = 4096
        while True:
            log.seek(max(0, size - span))
            lines = log.read().split(b"\n")
            # The first piece may be the end of a longer line, the last one is what is still being written.
            whole = lines[1:-1] if span < size else lines[:-1]
            if whole:
                return _record_of(whole[-1], log_path)[0]
            if span >= size:
                return None
            span *= 4


def _record_of(line: bytes, log_path: Path) -> tuple[dict[str, Any], bool]:
    """Return what a line says, and whether it has a sum, which it must match then."""
    content, has_sum, told = line.rstrip().rpartition(_SUM)
    text = content + b"}" if has_sum else line
    try:
        record = json.loads(text)
        if isinstance(record["event"], str) and (not has_sum or told == b"%d}" % crc32(text)):
            return record, bool(has_sum)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedRun(log_path) from error
    raise DamagedRun(log_path)


def threads_told_in(log_path: Path) -> int | None:
    """Return how many threads a run was trained with, by its log; None where that does not say."""
    with log_path.open("rb") as log:
        for line in log:
            if b'"started"' in line and type(threads := _record_of(line, log_path)[0].get("threads")) is int:
                return threads
    return None


def drop_torn_line(log: BinaryIO) -> None:
    """Cut off a torn last line that a killed writer left behind."""
    size = log.seek(0, os.SEEK_END)
    end = size
    while end > 0:
        start = max(0, end - 4096)
        log.seek(start)
        newline = log.read(end - start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        log.truncate(end)


class LogReader:
    """Follows a log: what was read once is not read again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._offset = 0
        self._steps, self._losses, self._seconds = array("q"), array("d"), array("d")
        self._epochs: dict[int, EpochEvent] = {}
        self._epochs_told: tuple[EpochEvent, ...] = ()
        self._starts: list[int] = []
        self._reason: str | None = None
        self._kernels: str | None = None
        self._kernels_reason: str | None = None
        self._had_checkpoint = False
        self._learning_rates: dict[int, float] = {}
        self._takes_wishes = False
        self._has_sums = False  # from some line on, all have them
        self._history: History | None = None  # of all that was read, until there is more

    def history(self) -> History:
        import pandas as pd  # 70 MB and half a second, which a process that trains does without

        with self._lock:
            self._read_on()
            if self._history is None:
                batches = pd.DataFrame(
                    {"step": np.array(self._steps), "loss": np.array(self._losses), "seconds": np.array(self._seconds)}
                )
                epochs = pd.DataFrame(list(self._epochs.values()), columns=list(EpochEvent.__dataclass_fields__))
                if epochs["validation_accuracy"].isna().all():
                    epochs = epochs.drop(columns=["validation_loss", "validation_accuracy"])
                if epochs["pen_accuracy"].isna().all():
                    epochs = epochs.drop(columns="pen_accuracy")
                self._history = History(
                    batches,
                    epochs,
                    list(self._starts),
                    self._reason,
                    self._kernels,
                    self._kernels_reason,
                    self._had_checkpoint,
                    self._learning_rates,
                    self._takes_wishes,
                )
            return self._history

    def epochs(self) -> tuple[EpochEvent, ...]:
        with self._lock:
            self._read_on()
            epochs = tuple(self._epochs.values())
            if epochs != self._epochs_told:  # else the same object: who keeps it for each length of the log keeps one
                self._epochs_told = epochs
            return self._epochs_told

    def learning_rates(self) -> dict[int, float]:
        with self._lock:
            self._read_on()
            return self._learning_rates

    def _read_on(self) -> None:
        with self._path.open("rb") as log:
            if log.seek(0, os.SEEK_END) < self._offset:
                self._begin()  # somebody put an older log in its place
            log.seek(self._offset)
            try:
                for line in log:
                    if not line.endswith(b"\n"):
                        break  # it is still being written, and left for the next time
                    record, has_sum = _record_of(line, self._path)
                    if self._has_sums and not has_sum:
                        raise ValueError("A line has lost its sum.")
                    self._has_sums = has_sum
                    self._take(record)
                    self._offset += len(line)
                    self._history = None
            except UnreadableRun:
                self._begin()
                raise
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                self._begin()
                raise DamagedRun(self._path) from error

    def _take(self, record: dict[str, Any]) -> None:
        match record.pop("event"):
            case Line.BATCH:
                # Each epoch leaves a checkpoint before the next one begins; earlier versions said nothing of the first.
                self._had_checkpoint |= bool(self._epochs)
                _require_numbers(record["step"], record["loss"], record["seconds"])
                if self._steps and record["step"] <= self._steps[-1]:
                    raise ValueError("A step is logged twice.")
                self._steps.append(record["step"])
                self._losses.append(record["loss"])
                self._seconds.append(record["seconds"])
            case Line.EPOCH:
                _require_numbers(*record.values())
                epoch = EpochEvent(**record)
                # The same one again, where training went on between an epoch's last step and its end.
                if self._epochs and (epoch.epoch, epoch.step) < (self._last_epoch().epoch, self._last_epoch().step):
                    raise ValueError("The epochs are out of order.")
                if max(epoch.test_accuracy, epoch.validation_accuracy or 0, epoch.pen_accuracy or 0) > 1:
                    raise ValueError("An accuracy lies between 0 and 1.")
                self._epochs[epoch.epoch] = epoch
            case Line.STARTED:
                require_readable_format(record, self._path)
                _require_numbers(record["step"])
                self._forget_after(record["step"])
                self._starts.append(record["step"])
                self._takes_wishes = record.get("takes_wishes") is True
                self._reason = None
                self._kernels, self._kernels_reason = _text(record, "kernels"), _text(record, "kernels_reason")
            case Line.CHECKPOINT:
                self._had_checkpoint = True
            case Line.LEARNING_RATE:
                step, rate = record["step"], record["learning_rate"]
                if type(step) is not int or step < 1 or not SETTINGS["learning_rate"].allows(rate):
                    raise ValueError("A learning rate is one that a recipe may have.")
                self._learning_rates = with_change(self._learning_rates, step, rate)
            case _:
                self._reason = _text(record, "reason")

    def _forget_after(self, step: int) -> None:
        """Drop what came after the checkpoint from which a worker resumed: it is trained again."""
        kept = bisect_right(self._steps, step)
        for column in (self._steps, self._losses, self._seconds):
            del column[kept:]
        while self._epochs and self._last_epoch().step > step:
            self._epochs.popitem()

    def _last_epoch(self) -> EpochEvent:
        return next(reversed(self._epochs.values()))


def _require_numbers(*numbers: object) -> None:
    """Check that all are finite numbers of at least 0, as a log has them."""
    for number in numbers:
        # Not isinstance: True is none.
        if not (type(number) is int or type(number) is float) or not 0 <= number <= _GREATEST:
            raise ValueError("A log has numbers from 0 on.")


def _text(record: dict[str, Any], name: str) -> str | None:
    text = record.get(name)
    if not (text is None or isinstance(text, str)):
        raise TypeError("A reason must be text.")
    return text and text.encode(errors="replace").decode()


@lru_cache(maxsize=256)
def log_reader(path: Path) -> LogReader:
    return LogReader(path)
