"""Finds the fastest recipe to 99 % on MNIST's test set, and measures it.

    PYTHONPATH=. python tests/benchmarks/speedrun.py --choose     # tries recipes on a part of the training set
    PYTHONPATH=. python tests/benchmarks/speedrun.py              # the preset on the test set, seeds 0, 1 and 2

To choose, networks train on the first 50,000 training images and are asked about the other 10,000; the test set is not
looked at. To measure, the preset trains on all of them, as the Train page would.
"""

import argparse
import itertools
import os
import statistics
import tempfile
from dataclasses import replace

from cnnlab import TRAINING_ENVIRONMENT

os.environ |= TRAINING_ENVIRONMENT | os.environ

import torch

from cnnlab.bench.report import machine
from cnnlab.data import mnist as data
from cnnlab.data.mnist import MNIST, as_input
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.storage.cores import available_cores
from cnnlab.training.events import EpochEvent
from cnnlab.training.loop import train
from cnnlab.training.recipe import PRESETS, TrainingConfig
from cnnlab.wording import percent

CHOSEN_ON = 50_000
GOAL = 0.99
TRIED = {
    "epochs": (3, 4, 5),
    "learning_rate": (0.05, 0.1, 0.15),
    "batch_size": (64, 128),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=available_cores())
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["CNNLAB_HOME"] = home
        torch.set_flush_denormal(True)
        mnist = data.load(train_images_as_bytes=True)  # as a run does
        speedrun = TrainingConfig(**PRESETS["speedrun"], threads=arguments.threads)
        warm_up(mnist, speedrun)
        if arguments.choose:
            choose(part_for_choosing(mnist), speedrun, arguments.seeds)
        else:
            print(f"{machine()}; {arguments.threads} threads; torch {torch.__version__}")
            measure(mnist, speedrun, arguments.seeds)


def part_for_choosing(mnist: MNIST) -> MNIST:
    """Return the training set alone, divided in two."""
    images, labels = mnist.train_images, mnist.train_labels
    return MNIST(images[:CHOSEN_ON], labels[:CHOSEN_ON], as_input(images[CHOSEN_ON:]), labels[CHOSEN_ON:])


def choose(part: MNIST, speedrun: TrainingConfig, seeds: int) -> None:
    print("\t".join([*TRIED, "lowest accuracy", "mean", "seconds"]))
    for values in itertools.product(*TRIED.values()):
        config = replace(speedrun, **dict(zip(TRIED, values, strict=True)))
        runs = [trained(part, replace(config, seed=seed)) for seed in range(seeds)]
        accuracies = [epochs[-1].test_accuracy for epochs in runs]
        seconds = statistics.median(sum(epoch.seconds for epoch in epochs) for epochs in runs)
        shown = [percent(min(accuracies)), percent(statistics.mean(accuracies)), f"{seconds:.1f}"]
        print("\t".join([*map(str, values), *shown]), flush=True)


def measure(mnist: MNIST, speedrun: TrainingConfig, seeds: int) -> None:
    print("seed\tepochs\taccuracy after each\tseconds of training\tseconds to 99 %")
    for seed in range(seeds):
        epochs = trained(mnist, replace(speedrun, seed=seed))
        accuracies = ", ".join(percent(epoch.test_accuracy) for epoch in epochs)
        seconds = list(itertools.accumulate(epoch.seconds for epoch in epochs))
        reached = [spent for spent, epoch in zip(seconds, epochs, strict=True) if epoch.test_accuracy >= GOAL]
        to_goal = f"{reached[0]:.2f}" if reached else "not reached"
        print(f"{seed}\t{len(epochs)}\t{accuracies}\t{seconds[-1]:.2f}\t{to_goal}")


def trained(mnist: MNIST, config: TrainingConfig) -> list[EpochEvent]:
    model = DEFINITIONS["sequential"].build(config.seed)
    return [event for event in train(model, mnist, config) if isinstance(event, EpochEvent)]


def warm_up(mnist: MNIST, config: TrainingConfig) -> None:
    """Compile the kernels, so that no measured run waits for them."""
    trained(mnist.first(train=1_000, test=100), config)


if __name__ == "__main__":
    main()
