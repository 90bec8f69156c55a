"""What lies in a run's folder, and why it may be unreadable.

run.json                 what is trained, written once
name.txt                 the name
made-by.txt              who made it
note.txt                 what a person noted of it
star                     there while a person has given it a star
events.jsonl             the log: one JSON object a line, only ever appended to
start.safetensors        what a fine-tuned run begins with
weights.safetensors      the newest weights
predictions.safetensors  what such weights answer on MNIST's test images
pen-predictions.safetensors  what they answer on the digits that people drew with a pen
checkpoint.pt            the state from which training goes on
snapshots/STEP.safetensors  the weights after a step, for the run's film
stop                     there while somebody wants the run to stop
learning-rate            the learning rate that somebody wants the run to go on with
errors.txt               what the worker wrote to its standard error
reserve                  there while the run trains: space for the line that says how it ended
"""

import errno
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from cnnlab.errors import LabError
from cnnlab.storage.home import home, listing, writing_to_home
from cnnlab.storage.learners import LONGEST_LEARNER, InvalidLearner, checked_learner
from cnnlab.training.recipe import SETTINGS

REFERENCE_RUNS = Path(__file__).parents[1] / "assets" / "runs"
# The reference run that was trained for digits that people draw.
DRAWING_RUN = "reference-drawing"
MANIFEST, NAME, LOG = "run.json", "name.txt", "events.jsonl"
# Who made it, what a person noted of it, and whether he gave it a star.
MAKER, NOTE, STAR = "made-by.txt", "note.txt", "star"
# Not in archives: people's names, and what they write for themselves, stay in the home.
STAYS_HOME = (MAKER, NOTE, STAR)
WEIGHTS, CHECKPOINT, START = "weights.safetensors", "checkpoint.pt", "start.safetensors"
SNAPSHOTS = "snapshots"
EXPORTED_FILES = (MANIFEST, NAME, LOG, WEIGHTS, CHECKPOINT, START)
# The name of a snapshot in an archive.
EXPORTED_SNAPSHOT = re.compile(rf"{SNAPSHOTS}/(?P<step>0|[1-9][0-9]{{0,6}})\.safetensors")
# Of run.json and of the log's lines. 1: before December 2026, without a number. 2: lines have sums, weights and
# checkpoints name their run and step. 3: a fine-tuned run, which begins with other weights than random ones.
FORMAT, COMMON_FORMAT = 3, 2


class RunFolder:
    """The files of a run.

    Attributes
    ----------
    folder
        Where the run lies; its name is the run's identifier.
    id
        The identifier. Newer runs have greater ones.
    note_path, star_path
        What a person noted of it, and a mark that he made; both may be missing.
    weights_path
        The newest weights; the file is there once an epoch has ended.
    predictions_path, pen_predictions_path
        Answers on MNIST's test images and on pen digits, for `cnnlab.inference.test_set`; a file may be missing or old.
    errors_path
        What a worker wrote to its standard error.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.id: str = folder.name
        self.manifest_path = folder / MANIFEST
        self.name_path = folder / NAME
        self.note_path = folder / NOTE
        self.star_path = folder / STAR
        self.log_path = folder / LOG
        self.start_path = folder / START
        self.weights_path = folder / WEIGHTS
        self.predictions_path = folder / "predictions.safetensors"
        self.pen_predictions_path = folder / "pen-predictions.safetensors"
        self.checkpoint_path = folder / CHECKPOINT
        self.snapshots_folder = folder / SNAPSHOTS
        self.stop_path = folder / "stop"
        self.learning_rate_path = folder / "learning-rate"
        self.errors_path = folder / "errors.txt"
        self.reserve_path = folder / "reserve"

    def snapshot_path(self, step: int) -> Path:
        """Return where the weights after a step are, if they were kept."""
        return self.snapshots_folder / f"{step}.safetensors"

    @property
    def wished_learning_rate(self) -> float | None:
        """The learning rate that somebody wants the run to go on with; None where nobody said one."""
        with suppress(OSError, ValueError):
            wished = float(self.learning_rate_path.read_text(encoding="utf-8"))
            return wished if SETTINGS["learning_rate"].allows(wished) else None
        return None

    @contextmanager
    def existing(self) -> Iterator[None]:
        """Turn missing files into `NoSuchRun`: another tab may have deleted the run.

        Raises
        ------
        NoSuchRun
            If the body finds that a file is missing.
        UnreadableRun
            If it finds one that cannot be read, being a folder or another user's.
        """
        try:
            yield
        except FileNotFoundError as error:
            raise self.gone() from error
        except OSError as error:
            raise unreadable(Path(error.filename or self.log_path), error) from error

    @contextmanager
    def changing(self) -> Iterator[None]:
        with writing_to_home():
            try:
                yield
            except FileNotFoundError as error:
                raise self.gone() from error

    def gone(self) -> "NoSuchRun":
        return NoSuchRun(f"The run {self.id} is not here any more.")


def maker_of(folder: Path) -> str | None:
    """Return the name of whoever made the run in a folder, or None."""
    with suppress(OSError, InvalidLearner), (folder / MAKER).open(encoding="utf-8", errors="replace") as file:
        return checked_learner(file.read(LONGEST_LEARNER))
    return None


class NoSuchRun(LabError):
    """No run has this identifier."""


class UnreadableRun(LabError):
    """A file of a run cannot be read, or not by this version of the lab.

    Attributes
    ----------
    run_id
        The run's identifier.
    file
        The file's name.
    kind
        What the run is, in a word or two: "damaged".
    is_sound
        Whether the run is whole, as far as the lab can tell.
    """

    kind: str
    is_sound = False

    def __init__(self, path: Path, sentence: str) -> None:
        super().__init__(sentence)
        self.run_id = path.parent.name
        self.file = path.name


class DamagedRun(UnreadableRun):
    """A file of a run is not what the lab wrote, or is gone."""

    kind = "damaged"

    def __init__(self, path: Path, reason: str = "cannot be read") -> None:
        super().__init__(
            path,
            f"The run {path.parent.name} is damaged: {path} {reason}. Put the file back from a copy, or delete the "
            "run's folder.",
        )


class NewerRun(UnreadableRun):
    """A run was made, or trained on, by a newer version of the lab. It is sound."""

    kind = "made by a newer version of the lab"
    is_sound = True

    def __init__(self, path: Path) -> None:
        super().__init__(
            path,
            f"The run {path.parent.name} was made by a newer version of the lab, which this one cannot read. Nothing "
            "is wrong with it: open it with that version. Here it can be exported and deleted.",
        )


class BlockedRun(UnreadableRun):
    """The system does not let the lab read a run now. Nothing is said of the run itself."""

    kind = "cannot be read now"

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(
            path,
            f"The run {path.parent.name} cannot be read now: {path}: {error.strerror or error}. {_cure(error)}",
        )


# What stands in a file's place is no file: that is the run's damage, and not the system's refusal.
_MISPLACED = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


def unreadable(path: Path, error: OSError) -> UnreadableRun:
    """Return what to say of a file that could not be opened or read."""
    return DamagedRun(path) if isinstance(error, _MISPLACED) else BlockedRun(path, error)


def require_readable_format(content: dict[str, object], path: Path) -> None:
    """Check the format number of an object read from a run's file.

    Raises
    ------
    NewerRun
        If this version of the lab does not know the format yet.
    """
    number = content.get("format", 1)
    if type(number) is not int or number < 1:
        raise DamagedRun(path)
    if number > FORMAT:
        raise NewerRun(path)


def _cure(error: OSError) -> str:
    match error.errno:
        case errno.EACCES | errno.EPERM:
            return "Give this user the right to read it."
        case errno.EMFILE | errno.ENFILE:
            return "Start the lab again, or let it open more files (ulimit -n)."
        case errno.ENOLCK | errno.EOPNOTSUPP:
            return "Keep the lab's home on a disk of this machine: this one has no file locks."
        case _:
            return "Look at the disk, or at the connection to it. The run's files are left as they are."


_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9]{3}|reference-[a-z]+")


def runs_folder() -> Path:
    return home() / "runs"


def run_ids_in(folder: Path) -> set[str]:
    """Return the identifiers of the runs in a folder, which may not be there yet.

    Raises
    ------
    HomeError
        If the system does not let the lab see what is in it.
    """
    return {name for name in listing(folder) if _ID.fullmatch(name)}


def read_whole(path: Path, is_whole: Callable[[bytes], bool]) -> bytes | None:
    """Return what a file holds, or None if it is not there."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unreadable(path, error) from error
    if not is_whole(content):
        raise DamagedRun(path)
    return content


def require_whole(path: Path, is_whole: Callable[[bytes], bool]) -> None:
    try:
        file = path.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise unreadable(path, error) from error
    if not _was_whole(path, is_whole, file.st_size, file.st_mtime_ns):
        raise DamagedRun(path)


@lru_cache(maxsize=16_384)
def _was_whole(path: Path, is_whole: Callable[[bytes], bool], _size: int, _modified: int) -> bool:
    with suppress(DamagedRun):
        read_whole(path, is_whole)
        return True
    return False
