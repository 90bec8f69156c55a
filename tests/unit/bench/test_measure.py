import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch.utils.data import DataLoader

from cnnlab import TRAINING_ENVIRONMENT
from cnnlab.bench import loops
from cnnlab.bench import measure as measuring
from cnnlab.bench.loops import LOOPS, lab_losses, seconds_to_train, torchvision_training_set, tutorial_losses
from cnnlab.bench.measure import measure
from cnnlab.bench.report import Measurement, Timing, records_of, table_of
from cnnlab.cli.main import main
from cnnlab.data.mnist import TRAIN_IMAGES
from cnnlab.fused.compiler import CannotFuse
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import all_runs
from cnnlab.training import state
from cnnlab.training.batches import shuffled

pytestmark = pytest.mark.slow

OURS = ["tutorial", "plain", "fused"]


def invoke(*arguments):
    return CliRunner().invoke(main, ["bench", *arguments])


def commands_of_children(pid):
    """Return the command line of each child of a process, by its number."""
    children = {}
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in listed.read_text().split():
            children[int(child)] = Path(f"/proc/{child}/cmdline").read_text(encoding="utf-8").split("\0")
    return children


def test_a_json_line_for_each_loop(lab_home):
    measured = invoke("--rounds", "2", "--chunk", "3", "--threads", "1", "--json")
    assert measured.exit_code == 0
    records = [json.loads(line) for line in measured.stdout.splitlines()]
    assert [record["loop"] for record in records] == OURS
    for record in records:
        assert record["seconds_per_epoch"] > 0
        assert 0 < record["ratio"]["min"] <= record["ratio"]["median"] <= record["ratio"]["max"]
        assert (record["rounds"], record["chunk"], record["threads"]) == (2, 3, 1)
        assert set(record["versions"]) >= {"Python", "torch"}
    assert records[0]["ratio"] == {"median": 1, "min": 1, "max": 1}
    assert "Round 2 of 2" in measured.stderr
    assert all_runs() == []
    assert sorted(path.name for path in lab_home.iterdir()) == ["kernels", "mnist.safetensors"]


def test_a_loop_whose_packages_are_missing_is_left_out_and_told(monkeypatch):
    monkeypatch.setattr(loops, "find_spec", lambda name: None if name == "torchvision" else "found")
    measured = invoke("--rounds", "1", "--chunk", "1", "--threads", "1", "--json")
    assert measured.exit_code == 0
    assert [json.loads(line)["loop"] for line in measured.stdout.splitlines()] == ["plain", "fused"]
    assert "Left out: tutorial, because torchvision is not installed" in measured.stderr.splitlines()
    assert "Getting tutorial ready" not in measured.stderr


def test_loops_that_end_too_early_are_told_and_the_others_count(tmp_path):
    no_folder = tmp_path / "file"
    no_folder.touch()
    without_home = replace(LOOPS["tutorial"], environment={"CNNLAB_HOME": str(no_folder)})

    def kill_fused_in_the_second_round(line):
        if line == "Round 2 of 2":
            for pid, command in commands_of_children(os.getpid()).items():
                if "fused" in command:
                    os.kill(pid, signal.SIGKILL)

    measurement = measure(2, 2, 1, kill_fused_in_the_second_round, LOOPS | {"tutorial": without_home})
    assert [timing.loop for timing in measurement.timings] == ["plain"]
    assert [record["ratio"] for record in records_of(measurement)] == [None]
    first, second = measurement.failures
    assert first.startswith("The loop tutorial ended too early with exit code 1: The lab's home")
    assert second == "The loop fused ended too early by SIGKILL, and said nothing about why."


def test_ctrl_c_ends_all_processes(lab_home):
    command = [sys.executable, "-m", "cnnlab", "bench"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr.readline() == "Getting tutorial ready\n"
        children = commands_of_children(process.pid)
        assert children
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 1
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert sorted(path.name for path in lab_home.iterdir()) == ["kernels", "mnist.safetensors"]


def test_the_tutorials_loop_and_the_labs_compute_the_same_losses():
    torch.set_num_threads(1)
    batches = [indices.tolist() for indices in shuffled(TRAIN_IMAGES, seed=0, epoch=1).split(128)[:20]]
    trainloader = DataLoader(torchvision_training_set(), batch_sampler=batches)
    expected = list(islice(tutorial_losses(trainloader, DEFINITIONS["sequential"].build(seed=0)), 20))
    for kernels in ("torch", "fused"):
        assert list(islice(lab_losses(kernels, threads=1), 20)) == pytest.approx(expected, rel=1e-4)


def test_kernels_that_a_run_cannot_have_are_not_measured_as_the_labs(monkeypatch):
    def fail(*_):
        raise CannotFuse("there is no compiler")

    monkeypatch.setattr(state, "fuse", fail)
    with pytest.raises(CannotFuse, match="there is no compiler"):
        next(lab_losses("fused", threads=1))


def test_only_the_labs_loops_have_what_the_lab_sets_for_training(monkeypatch):
    for name, value in TRAINING_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    environments = {name: measuring._base_environment(loop) for name, loop in LOOPS.items()}
    with_it = [name for name, environment in environments.items() if environment.keys() >= TRAINING_ENVIRONMENT.keys()]
    assert with_it == ["plain", "fused"]
    assert all("PATH" in environment for environment in environments.values())


def test_only_batches_count(monkeypatch):
    now = 0.0

    def losses():
        nonlocal now
        for seconds, loss in ((1, 0.5), (2, 0.4), (100, None), (4, 0.3), (8, 0.2)):
            now += seconds
            yield loss

    monkeypatch.setattr(loops, "perf_counter", lambda: now)
    trained = losses()
    assert seconds_to_train(trained, 1) == 1
    assert seconds_to_train(trained, 2) == 2 + 4
    assert seconds_to_train(trained, 1) == 8


def test_the_table_for_people():
    tutorial = Timing("tutorial", [2.0, 4.0, 3.0], {"Python": "3.11", "torch": "2.13"})
    plain = Timing("plain", [1.0, 1.0, 1.5], {"Python": "3.11", "torch": "2.13"})
    left_out = {"keras-jax": ["keras", "jax"], "lightning": ["lightning"]}
    lines = table_of(Measurement(100, 2, [tutorial, plain], [], left_out, [])).splitlines()
    assert lines[1].split() == ["tutorial", "14.07", "1.00", "(1.00–1.00)"]
    assert lines[2].split() == ["plain", "4.69", "2.00", "(2.00–4.00)"]
    assert lines[4].startswith("Machine: ")
    assert lines[5:] == [
        "Versions: Python 3.11, torch 2.13",
        "Threads: 2 for each loop",
        "Left out: keras-jax, because keras and jax are not installed",
        "Left out: lightning, because lightning is not installed",
    ]


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--chunk", "0"], ["--chunk", "469"], ["--threads", "0"]])
def test_a_bad_argument_ends_with_2(arguments):
    assert invoke(*arguments).exit_code == 2
