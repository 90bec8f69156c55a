"""Trains each of the tutorial's definitions with its recipe, and prints the table of cnnlab/guide/measurements.md.

    PYTHONPATH=. python tests/benchmarks/tutorial_table.py [--seeds 3]

One run after the other, through the command line, in the lab's home, with every core. About a minute for each run.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys

import torch

from cnnlab.bench.report import machine
from cnnlab.models.definitions import DEFINITIONS, Definition
from cnnlab.wording import percent


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(parser.parse_args().seeds)
    print(f"{machine()}; Python {platform.python_version()}, torch {torch.__version__}\n")
    for definition in DEFINITIONS.values():
        if definition.tutorial_losses:
            print_table(definition, {seed: epochs_of(definition.name, seed) for seed in seeds})


def epochs_of(model: str, seed: int) -> list[dict]:
    command = [sys.executable, "-m", "cnnlab", "train", "--model", model, "--seed", str(seed), "--json"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [record for record in map(json.loads, lines) if record["event"] == "epoch"]


def print_table(definition: Definition, runs: dict[int, list[dict]]) -> None:
    print(f"| `{definition.title}`, epoch | tutorial | " + " | ".join(f"seed {seed}" for seed in runs) + " |")
    print("|---" * (len(runs) + 2) + "|")
    for epoch, tutorial_loss in enumerate(definition.tutorial_losses):
        losses = " | ".join(f"{epochs[epoch]['train_loss']:.4f}" for epochs in runs.values())
        print(f"| {epoch + 1} | {tutorial_loss:.4f} | {losses} |")
    accuracies = " | ".join(percent(epochs[-1]["test_accuracy"]) for epochs in runs.values())
    print(f"| test accuracy | – | {accuracies} |")
    seconds = [[epoch["seconds"] for epoch in epochs] for epochs in runs.values()]
    spreads = " | ".join(f"{statistics.median(each):.1f} ({min(each):.1f}–{max(each):.1f})" for each in seconds)
    print(f"| seconds per epoch, median (range) | – | {spreads} |\n", flush=True)


if __name__ == "__main__":
    main()
