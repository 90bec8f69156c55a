"""Tries to break what reads files from outside, with atheris, which looks for inputs that reach new code.

    pip install atheris
    PYTHONPATH=. python tests/benchmarks/fuzz.py archive|log [-max_total_time=600]

An input may be taken, or refused in a sentence. Anything else that is raised ends the search, and so does an archive
that leaves something behind.
"""

import os
import sys
import tempfile
from functools import partial
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["cnnlab", "zipfile", "json"]):
    from cnnlab.archive import export_run, import_run
    from cnnlab.errors import LabError
    from cnnlab.models import DEFINITIONS
    from cnnlab.runs import Run, find_run
    from cnnlab.training import TrainingConfig


def main() -> None:
    what, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as corpus:
        os.environ["CNNLAB_HOME"] = home
        reference = find_run("reference-module")
        run = Run.create(DEFINITIONS["module"], TrainingConfig())
        if what == "archive":
            seed, read = export_run(reference), read_archive
        else:
            lines = (reference.folder / "events.jsonl").read_bytes().splitlines(keepends=True)
            seed, read = b"".join([*lines[:5], *lines[-3:]]), partial(read_log, run)
        (Path(corpus) / "seed").write_bytes(seed)
        atheris.Setup([sys.argv[0], "-max_len=200000", *options, corpus], read)
        atheris.Fuzz()


def read_archive(content: bytes) -> None:
    try:
        run = import_run(content)
    except LabError:
        return
    finally:
        left = [name for name in os.listdir(Path(os.environ["CNNLAB_HOME"]) / "runs") if name.startswith(".")]
        assert not left, left
    run.history()
    run.delete()


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
