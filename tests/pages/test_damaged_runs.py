"""One run with a damaged file, and all pages."""

import errno
import json
import os

import pytest

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run
from cnnlab.runs.writer import RunWriter
from cnnlab.storage.checksums import sealed
from cnnlab.training.events import EpochEvent
from cnnlab.training.recipe import TrainingConfig
from cnnlab.training.state import TrainingState

pytestmark = pytest.mark.slow

FILES = ["run.json", "events.jsonl", "weights.safetensors", "checkpoint.pt"]
CONFIG = TrainingConfig(epochs=2, threads=1)


def ended_run(name):
    run = create_run(DEFINITIONS["sequential"], CONFIG, name)
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        writer.append_training(EpochEvent(1, 469, 0.2, 0.2, 0.95, 3.0, 20_000.0))
        writer.save(TrainingState(DEFINITIONS["sequential"].build(0), CONFIG), weights=True)
        writer.stopped()
    return run


@pytest.fixture(params=FILES)
def damaged(request):
    """Return a run of which one file is damaged, and that file's name."""
    run = ended_run("Damaged")
    path = run.folder / request.param
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if request.param == "events.jsonl":
        content[content.index(b"{", 10)] ^= 1
    path.write_bytes(content)
    return run, request.param


@pytest.fixture
def sound(damaged):
    return ended_run("Sound")


def texts(page):
    return " ".join(each.value for kind in (page.markdown, page.caption, page.error, page.warning) for each in kind)


def test_all_pages_work_beside_a_damaged_run_and_when_asked_for_it(app, damaged, sound):
    app.run()
    assert not app.exception
    for path, parameter in (("compare", "runs"), ("draw", "runs"), ("inspect", "run")):
        page = app.switch_page(f"pages/{path}.py")
        page.query_params[parameter] = f"{damaged[0].id},{sound.id}" if parameter == "runs" else damaged[0].id
        page.run()
        assert not page.exception


def test_train_names_the_file_in_the_list_and_on_the_runs_page(train_page, damaged, sound):
    run, file = damaged
    train_page.query_params["run"] = run.id
    train_page.run()
    assert not train_page.exception
    assert any(file in error.value.replace("\\", "") for error in train_page.error)
    assert f"damaged: {file}" in texts(train_page).replace("\\", "")
    train_page.query_params["run"] = sound.id
    train_page.run()
    assert not train_page.error


@pytest.fixture
def newer():
    """Return a run as a newer version of the lab would have made it."""
    run = ended_run("Newer")
    manifest = json.loads(run.manifest_path.read_text())
    del manifest["sha256"]
    run.manifest_path.write_text(json.dumps(sealed(manifest | {"format": 99})))
    return run


def test_a_run_of_a_newer_version_is_told_apart_from_damage_and_can_be_deleted(train_page, newer):
    train_page.query_params["run"] = newer.id
    train_page.run()
    assert "made by a newer version of the lab" in train_page.info[0].value
    assert not train_page.error
    button(train_page, "Delete").click().run()
    button(train_page, "Delete for good").click().run()
    assert not newer.folder.exists()


def button(page, label):
    return next(each for each in page.button if each.label == label)


PAGES = ["write", "step", "train", "compare", "draw", "inspect", "sweep"]


def test_a_home_that_is_a_file_ends_in_a_sentence_on_every_page(app, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CNNLAB_HOME", str(tmp_path / "file"))
    for page in [app.run(), *(app.switch_page(f"pages/{name}.py").run() for name in PAGES)]:
        assert not page.exception
        assert "Not a directory" in page.error[0].value


def test_a_home_whose_runs_cannot_be_listed_is_said_on_every_page(app, lab_home, monkeypatch):
    listed = os.listdir

    def refuse(path):
        if str(path) == str(lab_home / "runs"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return listed(path)

    monkeypatch.setattr(os, "listdir", refuse)
    for page in [app.run(), *(app.switch_page(f"pages/{name}.py").run() for name in PAGES)]:
        assert not page.exception
        assert "Permission denied" in page.error[0].value


def test_a_sweep_that_cannot_be_read_is_named_on_the_sweep_page(app, lab_home):
    (lab_home / "sweeps").mkdir()
    (lab_home / "sweeps" / "20261127-000000-000.json").write_text("{}")
    page = app.switch_page("pages/sweep.py").run()
    assert not page.exception
    assert "20261127" in page.error[0].value
