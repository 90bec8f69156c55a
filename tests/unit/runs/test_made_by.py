"""Whose a run is."""

import io
import zipfile

import pytest

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.folder import MAKER
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import create_run
from cnnlab.runs.transfer.archive import export_run, files_as_they_are, import_run
from cnnlab.training.recipe import TrainingConfig


def made_by(name):
    return create_run(DEFINITIONS["module"], TrainingConfig(), made_by=name)


@pytest.mark.parametrize("name", ["Ada", "Zoë <b>", None])
def test_a_run_knows_who_made_it(name):
    assert Run(made_by(name).folder).made_by == name


@pytest.mark.parametrize(
    ("content", "name"),
    [(b"", None), (b"\xff\xfe", "\ufffd\ufffd"), (b"a\nb", "a\ufffdb"), (b"x" * 1_000_000, "x" * 40)],
)
def test_a_name_that_somebody_wrote_by_hand_does_no_harm(content, name):
    run = made_by("Ada")
    (run.folder / MAKER).write_bytes(content)
    assert Run(run.folder).made_by == name


def test_archives_do_not_say_who_made_a_run_and_whoever_imports_it_has_it():
    run = made_by("Ada")
    for archive in (export_run(run), files_as_they_are(run.id)):
        with zipfile.ZipFile(io.BytesIO(archive)) as files:
            assert not any(b"Ada" in files.read(name) for name in files.namelist())
    assert import_run(export_run(run)).made_by is None
    assert import_run(export_run(run), "Bob").made_by == "Bob"
