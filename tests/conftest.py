"""What all tests share: a home of their own, with MNIST decoded once."""

import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from cnnlab.data import mnist as data
from cnnlab.data.pen_digits import load_drawn, load_strokes
from cnnlab.drawing.my_digits import MyDigit
from cnnlab.drawing.pen import PenData, outlines_of, with_own
from cnnlab.runs.run import Run
from cnnlab.training.recipe import DRAWINGS_OF_A_DIGIT, TrainingConfig
from cnnlab.workers import work
from cnnlab.workers.scheduler import _made_scheduler, scheduler

# A shell has its background commands ignore Ctrl-C, and all that they start inherits it: also what the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("lab", deadline=None)  # no timing decides a test
settings.load_profile("lab")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the tests of faults in their full form, an hour in all")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest tests begin first, so that at the end no core waits for the other."""
    items.sort(key=lambda item: item.path.parent.name != "workers")


@pytest.fixture
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether the tests of faults run in their full form."""
    return request.config.getoption("--soak")


@pytest.fixture(scope="session")
def decoded_mnist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return MNIST as the lab decodes it, for the homes of all tests."""
    folder = tmp_path_factory.mktemp("mnist")
    before = os.environ.get("CNNLAB_HOME")
    os.environ["CNNLAB_HOME"] = str(folder)
    data.load()
    if before is None:
        del os.environ["CNNLAB_HOME"]
    else:
        os.environ["CNNLAB_HOME"] = before
    return folder / "mnist.safetensors"


@pytest.fixture(scope="session")
def compiled_kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for the lab's kernels, each of which is compiled once for the homes of all tests."""
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder for the homes of all tests."""
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(autouse=True)
def lab_home(
    homes: Path, decoded_mnist: Path, compiled_kernels: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Give the test an empty home, with what takes long to make at hand, and end what it started there."""
    folder = Path(tempfile.mkdtemp(dir=homes)) / "home"  # pytest's own looks through all folders before it each time
    folder.mkdir()
    (folder / "mnist.safetensors").symlink_to(decoded_mnist)
    (folder / "kernels").symlink_to(compiled_kernels)
    monkeypatch.setenv("CNNLAB_HOME", str(folder))
    yield folder
    torch.set_flush_denormal(False)  # what trains sets it for the whole process
    if _made_scheduler.cache_info().currsize:
        scheduler().close()
        _made_scheduler.cache_clear()


@pytest.fixture(scope="session")
def mnist(decoded_mnist: Path) -> data.MNIST:
    """Return a small MNIST: 1,000 training and 500 test images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNNLAB_HOME", str(decoded_mnist.parent))
        return data.load().first(train=1000, test=500)


@pytest.fixture(scope="session")
def pen() -> PenData:
    """Return a few pen digits: 70 to train on and the first 300 drawings to test on."""
    outlines = outlines_of(load_strokes("training").first(70))
    images, labels = load_drawn("testing")
    return PenData(outlines, images[:300], labels[:300])


@pytest.fixture
def few_pen_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs train on seventy pen digits, of which somebody's own are as many as of all."""

    def load(with_training: bool, own_digits: Sequence[MyDigit] = ()) -> PenData:
        images, labels = load_drawn("testing")
        outlines = outlines_of(with_own(load_strokes("training").first(70), own_digits))
        return PenData(outlines if with_training else None, images[:300], labels[:300])

    drawings = property(lambda config: config.mnist_images + (DRAWINGS_OF_A_DIGIT * 70 if config.has_pen_digits else 0))
    monkeypatch.setattr(work, "load_pen_data", load)
    monkeypatch.setattr(TrainingConfig, "images_per_epoch", drawings)


@pytest.fixture
def wait_for() -> Callable[[Callable[[], object]], None]:
    """Return a function that waits until something is so."""

    def wait(is_so: Callable[[], object], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < deadline, "what the test waits for did not happen"
            time.sleep(0.02)

    return wait


@pytest.fixture
def process_of() -> Callable[[Run], int]:
    """Return a function that tells the process id of the worker that trains a run."""

    def read(run: Run) -> int:
        events = [json.loads(line) for line in (run.folder / "events.jsonl").read_text().splitlines()]
        return next(event["process"] for event in reversed(events) if event["event"] == "started")

    return read
