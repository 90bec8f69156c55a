"""What tests/benchmarks/other_libraries.py adds to the lab's loops, with stand-ins for the libraries."""

import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from cnnlab import TRAINING_ENVIRONMENT
from cnnlab.bench import loops
from cnnlab.bench import measure as measuring
from cnnlab.bench.loops import LOOPS
from cnnlab.bench.measure import measure
from cnnlab.runs.shelf import all_runs

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "tests" / "benchmarks" / "other_libraries.py"
FRAMEWORKS = ["keras", "tensorflow", "jax", "lightning"]

# Keras trains nothing here. Its version tells what the process has found in its environment.
KERAS = """
import os
from types import SimpleNamespace
from unittest.mock import MagicMock

SETTINGS = ("KERAS_BACKEND", "JAX_PLATFORMS", "NPROC", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
__version__ = " ".join(os.environ[name] for name in SETTINGS)
Input = layers = optimizers = losses = MagicMock()
callbacks = SimpleNamespace(LambdaCallback=SimpleNamespace)


class Sequential:
    def __init__(self, layers):
        print("what a library prints is no reply")

    def compile(self, optimizer, loss):
        pass

    def fit(self, images, labels, batch_size, shuffle, callbacks, verbose):
        assert images.shape[1:] == (28, 28, 1) and len(images) == len(labels) and len(images) % batch_size == 0
        for callback in callbacks:
            callback.on_epoch_begin(0, None)
            callback.on_epoch_end(0, None)
"""

# One epoch as Lightning has it.
LIGHTNING = """
from itertools import islice
from types import SimpleNamespace

__version__ = "2"
LightningModule = object
pytorch = SimpleNamespace(callbacks=SimpleNamespace(LambdaCallback=SimpleNamespace))


class Trainer:
    def __init__(self, max_epochs, limit_train_batches, callbacks, **_):
        self.batches, self.callbacks = limit_train_batches, callbacks

    def fit(self, module, loader):
        optimizer = module.configure_optimizers()
        for callback in self.callbacks:
            callback.on_train_epoch_start(self, module)
        for batch in islice(loader, self.batches):
            optimizer.zero_grad()
            module.training_step(batch).backward()
            optimizer.step()
        for callback in self.callbacks:
            callback.on_train_epoch_end(self, module)
"""


@pytest.fixture(scope="module")
def script():
    specification = spec_from_file_location("other_libraries", SCRIPT)
    module = module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def libraries(monkeypatch, tmp_path):
    """Put modules in the places of the libraries, for this process and those of the loops."""
    folder = tmp_path / "libraries"
    folder.mkdir()
    texts = {"keras": KERAS, "lightning": LIGHTNING, "jax": "__version__ = '0'", "tensorflow": "__version__ = '2'"}
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{ROOT}")


def test_the_labs_loops_are_measured_too_and_the_missing_libraries_are_told(script, monkeypatch, lab_home, capsys):
    monkeypatch.setattr(loops, "find_spec", lambda name: None if name in FRAMEWORKS else "found")
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--rounds", "2", "--chunk", "3", "--threads", "1"])
    script.main()
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert [line.split()[0] for line in lines[1 : lines.index("")]] == ["tutorial", "plain", "fused"]
    assert lines[1].split()[2:] == ["1.00", "(1.00–1.00)"]
    assert [line for line in lines if line.startswith("Left out")] == [
        "Left out: keras-tensorflow, because keras and tensorflow are not installed",
        "Left out: keras-jax, because keras and jax are not installed",
        "Left out: lightning, because lightning is not installed",
    ]
    assert "Round 2 of 2" in printed.err
    assert all_runs() == []
    assert sorted(path.name for path in lab_home.iterdir()) == ["kernels", "mnist.safetensors"]


@pytest.mark.usefixtures("libraries")
def test_each_library_is_measured_in_a_process_of_the_script(script):
    told = []
    measurement = measure(2, 3, 1, told.append, LOOPS | script.other_loops(threads=1))
    assert (measurement.failures, measurement.left_out) == ([], {})
    timings = {timing.loop: timing for timing in measurement.timings}
    assert list(timings) == ["tutorial", "plain", "fused", "keras-tensorflow", "keras-jax", "lightning"]
    for timing in timings.values():
        assert len(timing.seconds) == 2
        assert min(timing.seconds) > 0
    assert timings["keras-tensorflow"].versions["keras"] == "tensorflow cpu 1 1 1"
    assert timings["keras-jax"].versions["keras"] == "jax cpu 1 1 1"
    assert timings["keras-jax"].versions.keys() == {"Python", "keras", "jax"}
    assert timings["lightning"].versions["lightning"] == "2"
    assert told[-2:] == ["Round 1 of 2", "Round 2 of 2"]


@pytest.mark.usefixtures("libraries")
def test_a_library_that_fails_is_told_and_ends_the_script_with_1(script, monkeypatch, tmp_path, capsys):
    (tmp_path / "libraries" / "lightning.py").write_text("raise ImportError('no wheel for this machine')")
    monkeypatch.setattr(script, "LOOPS", {})
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--rounds", "1", "--chunk", "1", "--threads", "1"])
    failure = "The loop lightning ended too early with exit code 1: ImportError: no wheel for this machine."
    with pytest.raises(SystemExit, match=failure):
        script.main()
    table = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in table[1 : table.index("")]] == ["keras-tensorflow", "keras-jax"]


def test_only_the_labs_loops_have_what_the_lab_sets_for_training(script, monkeypatch):
    for name, value in TRAINING_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    environments = {loop.name: measuring._base_environment(loop) for loop in script.other_loops(threads=1).values()}
    assert not any(environment.keys() & TRAINING_ENVIRONMENT.keys() for environment in environments.values())
    assert all("PATH" in environment for environment in environments.values())
