"""Tries to break what reads files from outside, with atheris, which looks for inputs that reach new code.

    pip install atheris
    PYTHONPATH=. python tests/benchmarks/fuzz.py archive|files|log [-max_total_time=600]

"archive" changes the bytes of a zip file, "files" those of one of the files in it, "log" those of a run's log. An input
may be taken, or refused in a sentence. Anything else that is raised ends the search, and so does an archive that leaves
something behind.
"""

import io
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import atheris

from cnnlab.runs.shelf import create_run, delete_run

with atheris.instrument_imports(include=["cnnlab", "zipfile", "json"]):
    from cnnlab.errors import LabError
    from cnnlab.models.definitions import DEFINITIONS
    from cnnlab.runs.folder import EXPORTED_FILES
    from cnnlab.runs.run import Run
    from cnnlab.runs.transfer.archive import export_run, import_run
    from cnnlab.runs.writer import RunWriter
    from cnnlab.training.events import BatchEvent, EpochEvent
    from cnnlab.training.recipe import TrainingConfig
    from cnnlab.training.state import TrainingState


def main() -> None:
    what, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as corpus:
        os.environ["CNNLAB_HOME"] = home
        run = small_run()
        archive = export_run(run, checkpoint=True)
        with zipfile.ZipFile(io.BytesIO(archive)) as file:
            files = {name: file.read(name) for name in file.namelist()}
        seeds: list[bytes]
        read: Callable[[bytes], None]
        match what:
            case "archive":
                seeds = [archive, export_run(create_run(DEFINITIONS["module"], TrainingConfig()))]
                read = read_archive
            case "files":
                seeds = [bytes([place]) + files[name] for place, name in enumerate(EXPORTED_FILES)]
                read = partial(read_files, files)
            case _:
                seeds, read = [files["events.jsonl"]], partial(read_log, run)
        for number, seed in enumerate(seeds):
            (Path(corpus) / str(number)).write_bytes(seed)
        atheris.Setup([sys.argv[0], f"-max_len={2 * max(map(len, seeds))}", *options, corpus], read)
        atheris.Fuzz()


def small_run() -> Run:
    """Return a run that was stopped after a step, with all the files that a run can have."""
    config = TrainingConfig(threads=1)
    run = create_run(DEFINITIONS["module"], config)
    state = TrainingState(DEFINITIONS["module"].build(0), config)
    state.optimizer.step()
    state.batch = state.step = 1
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        writer.append_training(BatchEvent(1, 1, 2.3, 0.1))
        writer.append_training(EpochEvent(1, 1, 2.3, 2.2, 0.1, 0.1, 1_280.0))
        writer.save(state, weights=True)
        writer.stopped()
    return run


def read_archive(content: bytes) -> None:
    try:
        run = import_run(content)
    except LabError:
        return
    finally:
        left = [name for name in os.listdir(Path(os.environ["CNNLAB_HOME"]) / "runs") if name.startswith(".")]
        assert not left, left
    run.history()
    delete_run(run)


def read_files(files: dict[str, bytes], content: bytes) -> None:
    """Read an archive of which one file, told by the first byte, holds the others."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        changed = EXPORTED_FILES[content[0] % len(EXPORTED_FILES)] if content else ""
        for name, each in files.items():
            file.writestr(name, content[1:] if name == changed else each)
    read_archive(archive.getvalue())


def read_log(run: Run, content: bytes) -> None:
    (run.folder / "events.jsonl").write_bytes(content)
    try:
        run.damage()
        run.history()
        run.last_epoch()
        run.seconds_left()
        assert run.status
        assert run.can_resume in (True, False)
    except LabError:
        return


if __name__ == "__main__":
    main()
