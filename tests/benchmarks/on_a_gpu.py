"""Shows what the lab does on a GPU, within ten minutes: whether it trains there, how well, and how fast.

    PYTHONPATH=. python tests/benchmarks/on_a_gpu.py
    PYTHONPATH=. python tests/benchmarks/on_a_gpu.py --device cpu --epochs 1 --seeds 1 --rounds 2     # a rehearsal

It trains each preset by ``python -m cnnlab train``, *Speedrun* with several seeds, and the tutorial's once more as
torchrun's only process, which takes nccl on a GPU. Then it measures the lab's loop beside the tutorial's, both on that
device, as ``python -m cnnlab bench`` does, and runs the tests of rooms that compute on a device: they take the GPU
where there is one.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from cnnlab.bench.loops import (
    Loop,
    TrainChunk,
    lab_losses,
    seconds_to_train,
    torchvision_training_set,
    train_when_told,
    tutorial_losses,
)
from cnnlab.bench.measure import CHUNK, measure
from cnnlab.bench.report import machine, table_of
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.storage.cores import available_cores
from cnnlab.training.recipe import PRESETS, TrainingConfig

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1")
TESTS = ("tests/unit/training", "tests/unit/stepping", "tests/unit/workers/test_work.py")
TESTS_AT_MOST_SECONDS = 180
GOAL = 0.99


def main() -> None:
    if sys.argv[1:2] == ["--train"]:
        device, name, threads = sys.argv[2:]
        sys.exit(train_when_told(loops_on(device), name, threads))
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--epochs", type=int, help="of each run, in place of its preset's")
    parser.add_argument("--seeds", type=int, default=5, help="of the speedrun")
    parser.add_argument("--rounds", type=int, default=8)
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        sys.exit("PyTorch finds no GPU here: install a build of it with CUDA, or rehearse with --device cpu.")
    gpu = torch.cuda.get_device_name() if arguments.device == "cuda" else "no GPU"
    print(f"{machine()}; {gpu}; torch {torch.__version__}")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        os.environ["CNNLAB_HOME"] = home
        options = ["--device", arguments.device, *(["--epochs", str(arguments.epochs)] if arguments.epochs else [])]
        train_presets(options, arguments.seeds)
        measure_loops(arguments.device, arguments.rounds)
    run_tests()
    print(f"\n{time.monotonic() - began:.0f} s in all")


def train_presets(options: list[str], seeds: int) -> None:
    print(f"\n{'run':34}{'epochs':>8}{'test set':>10}{'training':>11}{f'to {GOAL:.0%}':>10}{'in all':>10}")
    for preset in PRESETS:
        for seed in range(seeds if preset == "speedrun" else 1):
            show_run(f"{preset}, seed {seed}", (), ["--preset", preset, "--seed", str(seed), *options])
    show_run("tutorial, one process of torchrun", TORCHRUN, options)


def show_run(title: str, starter: tuple[str, ...], options: list[str]) -> None:
    """Train a run in a process of its own, and print how well and how fast."""
    began = time.monotonic()
    command = [sys.executable, *starter, "-m", "cnnlab", "train", "--json", *options]
    process = subprocess.run(command, capture_output=True, text=True)
    took = time.monotonic() - began
    epochs = [each for each in map(json.loads, process.stdout.splitlines()) if each["event"] == "epoch"]
    if process.returncode or not epochs:
        print(f"{title:34}failed: {(process.stderr.strip().splitlines() or ['no reason given'])[-1]}", flush=True)
        return
    seconds = sum(each["seconds"] for each in epochs)
    print(
        f"{title:34}{len(epochs):>8}{epochs[-1]['test_accuracy']:>10.2%}{seconds:>9.2f} s{to_the_goal(epochs):>10}"
        f"{took:>8.1f} s",
        flush=True,
    )


def to_the_goal(epochs: list[dict[str, Any]]) -> str:
    """Return after how many seconds of training the test accuracy was first at the goal."""
    seconds = 0.0
    for epoch in epochs:
        seconds += epoch["seconds"]
        if epoch["test_accuracy"] >= GOAL:
            return f"{seconds:.2f} s"
    return "–"


def measure_loops(device: str, rounds: int) -> None:
    print(f"\nLoops on {device}:", flush=True)
    measurement = measure(rounds, CHUNK, available_cores(), lambda _: None, loops_on(device))
    print(table_of(measurement), *measurement.failures, sep="\n", flush=True)


def loops_on(device: str) -> dict[str, Loop]:
    """Return the tutorial's loop and the lab's, on a device."""
    # The benchmark hides GPUs from its loops, since the lab's own are for the CPU.
    visible = {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES") or "0"} if device == "cuda" else {}
    command = (str(Path(__file__).resolve()), "--train", device)
    return {
        "tutorial": Loop(
            "tutorial", partial(prepare_tutorial, device), ("torch", "torchvision"), visible, False, command
        ),
        "plain": Loop("plain", partial(prepare_plain, device), ("torch",), visible, True, command),
    }


def prepare_tutorial(device: str, threads: int) -> TrainChunk:
    torch.set_num_threads(threads)
    batches = DataLoader(torchvision_training_set(), batch_size=TrainingConfig.batch_size, shuffle=True)
    model = DEFINITIONS["sequential"].build(seed=0).to(device)
    return partial(seconds_to_train, tutorial_losses(MovedTo(device, batches), model))


def prepare_plain(device: str, threads: int) -> TrainChunk:
    return partial(seconds_to_train, lab_losses("torch", threads, device))


class MovedTo:
    """The batches of an epoch, moved to a device one by one."""

    def __init__(self, device: str, batches: DataLoader) -> None:
        self._device, self._batches = device, batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in self._batches:
            yield images.to(self._device), labels.to(self._device)


def run_tests() -> None:
    command = [sys.executable, "-m", "pytest", "-q", *TESTS]
    try:
        tested = subprocess.run(command, capture_output=True, text=True, timeout=TESTS_AT_MOST_SECONDS)
    except subprocess.TimeoutExpired:
        print(f"\nThe tests were ended after {TESTS_AT_MOST_SECONDS} s.")
        return
    failed = [line for line in tested.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    print(
        f"\nTests of {', '.join(TESTS)}: {'all passed' if not tested.returncode else 'not all passed'}",
        *failed,
        sep="\n",
    )


if __name__ == "__main__":
    main()
