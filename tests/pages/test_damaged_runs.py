"""One run with a damaged file, and all pages."""

import pytest

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run
from cnnlab.runs.writer import RunWriter
from cnnlab.training.events import EpochEvent
from cnnlab.training.recipe import TrainingConfig
from cnnlab.training.state import TrainingState

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
