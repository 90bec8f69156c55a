"""A run as one zip archive, to take it to another machine.

What comes from outside is not trusted: an archive has few files, whose names are known; what they may hold is looked at
before anything of it is where the lab keeps its runs; and nothing is unpacked beyond what a run can have.
"""

import io
import stat
import struct
import zipfile
import zlib

from cnnlab.errors import LabError
from cnnlab.runs.folder import (
    CHECKPOINT,
    EXPORTED_FILES,
    EXPORTED_SNAPSHOT,
    LOG,
    MANIFEST,
    NAME,
    SNAPSHOTS,
    START,
    STAYS_HOME,
    WEIGHTS,
    BlockedRun,
    NewerRun,
    NoSuchRun,
    UnreadableRun,
    run_ids_in,
    runs_folder,
)
from cnnlab.runs.run import Run
from cnnlab.runs.snapshots import MOST_SNAPSHOTS, kept_steps, read_snapshot
from cnnlab.runs.transfer.importing import UnfitRun, adopt
from cnnlab.storage.home import writing_to_home

# Unpacked. The log of a thousand epochs of the tutorial's batches has 55 MB, and weights of a million numbers have 4.
_MOST_UNPACKED_BYTES = 70_000_000
_MOST_BYTES_OF = {MANIFEST: 1_000_000, NAME: 10_000, WEIGHTS: 20_000_000, CHECKPOINT: 40_000_000, START: 40_000_000}
MOST_BYTES = _MOST_UNPACKED_BYTES
# An archive that was unpacked and packed again has a folder, and what a desktop keeps beside each file.
_MOST_FILES = len(EXPORTED_FILES) + MOST_SNAPSHOTS
_MOST_ENTRIES = 4 * _MOST_FILES
_MOST_DIRECTORY_BYTES = 65_536
# When all files were made: archives of the same run are the same, byte for byte.
_NO_TIME = (1980, 1, 1, 0, 0, 0)


class RefusedArchive(LabError):
    """An archive is not one that the lab has written, or its run does not fit this lab."""


def export_run(run: Run, *, checkpoint: bool = False, snapshots: bool = False) -> bytes:
    """Return a run as a zip archive. One that trains is taken as it is at the moment.

    Parameters
    ----------
    checkpoint
        Whether the state from which training goes on comes along; without it, the imported run cannot be resumed.
    snapshots
        Whether those of its weights come along, which are its film.

    Raises
    ------
    UnreadableRun, NoSuchRun
        If a file of it cannot be read, or it is gone.
    RefusedArchive
        If it is larger than an archive that is imported may be.
    """
    files = exported_files(run, checkpoint=checkpoint, snapshots=snapshots)
    if (size := sum(map(len, files.values()))) > _MOST_UNPACKED_BYTES:
        raise RefusedArchive(
            f"{run.name} has {size / 1e6:,.0f} MB; an archive holds at most {_MOST_UNPACKED_BYTES / 1e6:.0f} MB. Leave "
            "out its checkpoint and its snapshots, or copy its folder in the lab's home instead."
        )
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, _NO_TIME)
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            is_packed = name.endswith(".pt")
            file.writestr(entry, content, zipfile.ZIP_STORED if is_packed else zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def exported_files(run: Run, *, checkpoint: bool, snapshots: bool) -> dict[str, bytes]:
    """Return the files from which `adopt` makes the run again, by name: those of `EXPORTED_FILES` that it has.

    Behind them come the snapshots, if asked for.

    Raises
    ------
    UnreadableRun, NoSuchRun
        If one of them cannot be read, or the run is gone.
    """
    # The log last: while the run trains, it must reach as far as the checkpoint.
    files: dict[str, bytes | None] = {START: run.read_start(), WEIGHTS: run.read_weights()}
    if checkpoint:
        files[CHECKPOINT] = run.read_checkpoint()
    # After a power cut the log may have lost its last steps.
    steps = [step for step in kept_steps(run) if step <= run.history().step] if snapshots else []
    film = {f"{SNAPSHOTS}/{run.snapshot_path(step).name}": read_snapshot(run, step) for step in steps}
    run.history()  # a log that is damaged is not exported
    with run.existing():
        log = run.log_path.read_bytes()
        files |= {MANIFEST: (run.folder / MANIFEST).read_bytes(), NAME: run.name.encode()}
        files[LOG] = log[: log.rfind(b"\n") + 1]
    return {name: content for name in EXPORTED_FILES if (content := files.get(name)) is not None} | film


def files_as_they_are(run_id: str) -> bytes:
    """Return all files of a run in the lab's home as a zip archive, unread: for one that this version cannot read.

    Raises
    ------
    NoSuchRun
        If there is none.
    BlockedRun
        If the system does not let the lab read it.
    """
    folder = runs_folder() / run_id
    if run_id not in run_ids_in(runs_folder()):
        raise NoSuchRun(f"The run {run_id} is not here any more.")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in STAYS_HOME):
            try:
                file.write(path, path.relative_to(folder).as_posix())
            except OSError as error:
                raise BlockedRun(path, error) from error
    return archive.getvalue()


def import_run(content: bytes, made_by: str | None = None) -> Run:
    """Make a new run in the lab's home of an archive that `export_run` has written, here or elsewhere.

    Parameters
    ----------
    made_by
        The name of whoever brings it: an archive does not say who made its run.

    Raises
    ------
    RefusedArchive
        If it is none, or its network is not the one that is registered here.
    HomeError
        If the home cannot be written.
    """
    files = _unpacked(content)
    try:
        with writing_to_home():
            return adopt(files, made_by)
    except NewerRun as error:
        raise RefusedArchive(
            "This archive was made by a newer version of the lab, which this one cannot read: import it with that "
            "version."
        ) from error
    except UnreadableRun as error:
        raise RefusedArchive(
            f"This archive cannot be imported: its {error.file} is damaged. Export the run again."
        ) from error
    except UnfitRun as error:
        raise RefusedArchive(f"This archive cannot be imported: {error}") from error


def _unpacked(content: bytes) -> dict[str, bytes]:
    """Return what the files of an archive hold, by name."""
    if len(content) > MOST_BYTES:
        raise RefusedArchive(
            f"This archive has {len(content) / 1e6:,.0f} MB; at most {MOST_BYTES / 1e6:.0f} MB are read."
        )
    _look_at_the_directory(content)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = _entries_of_the_run(archive.infolist())
            _look_at_the_entries(entries)
            files: dict[str, bytes] = {}
            room = _MOST_UNPACKED_BYTES
            for name, entry in entries:
                most = min(room, _MOST_BYTES_OF.get(WEIGHTS if EXPORTED_SNAPSHOT.fullmatch(name) else name, room))
                with archive.open(entry) as file:
                    files[name] = file.read(most + 1)
                if len(files[name]) > most:
                    raise RefusedArchive(f"{name} in this archive has over {most / 1e6:,.2g} MB, which no run has.")
                room -= len(files[name])
            return files
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        ArithmeticError,
        RuntimeError,
        ValueError,
        OSError,
    ) as error:
        raise RefusedArchive("This archive is damaged, or not all of it is there. Export the run again.") from error


def _look_at_the_directory(content: bytes) -> None:
    """Refuse an archive with more files than a run has before they are listed, which takes long for very many.

    References
    ----------
    PKWARE's APPNOTE.TXT, sections 4.3.16 (the end of the central directory: 22 bytes without a comment) and 4.3.15
    (what stands before it in an archive with more than 65,535 files).
    """
    end = content[-22:]
    if len(end) < 22 or not end.startswith(b"PK\5\6") or content[-42:-38] == b"PK\6\7":
        raise RefusedArchive("This file is no archive of a run: choose one that was downloaded as Run (zip).")
    entries, directory_bytes = struct.unpack("<HL", end[10:16])
    if entries > _MOST_ENTRIES or directory_bytes > _MOST_DIRECTORY_BYTES:
        raise RefusedArchive(f"This archive lists {entries:,} files; that of a run has at most {_MOST_FILES}.")


def _entries_of_the_run(entries: list[zipfile.ZipInfo]) -> list[tuple[str, zipfile.ZipInfo]]:
    """Return the entries by the names that the run's files have, without the one folder that may be around them all."""
    entries = [entry for entry in entries if not _is_a_desktops(entry.filename)]
    folders = {entry.filename.partition("/")[0] for entry in entries}
    folder = f"{folders.pop()}/" if len(folders) == 1 else ""
    own_folders = {folder, f"{folder}{SNAPSHOTS}/"}
    return [(entry.filename.removeprefix(folder), entry) for entry in entries if entry.filename not in own_folders]


def _is_a_desktops(name: str) -> bool:
    return name.startswith("__MACOSX/") or name.rpartition("/")[2] in (".DS_Store", "desktop.ini", "Thumbs.db")


def _look_at_the_entries(entries: list[tuple[str, zipfile.ZipInfo]]) -> None:
    names = [name for name, _ in entries]
    known = {name for name in names if name in EXPORTED_FILES or EXPORTED_SNAPSHOT.fullmatch(name)}
    if unknown := sorted(set(names) - known):
        raise RefusedArchive(f"This archive holds {unknown[0][:80]!r}, which no run has.")
    if len(set(names)) < len(names):
        raise RefusedArchive("This archive holds a file twice. Export the run again.")
    for name, entry in entries:
        kind = stat.S_IFMT(entry.external_attr >> 16)
        is_encrypted = entry.flag_bits & 0x1
        is_known_method = entry.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        if kind not in (0, stat.S_IFREG) or is_encrypted or not is_known_method:
            raise RefusedArchive(
                f"{name} in this archive is a link, encrypted, or packed in a way that the lab does not read."
            )
