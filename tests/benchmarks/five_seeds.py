"""Trains each of the tutorial's definitions with five seeds, and prints the comparison of cnnlab/guide/measurements.md.

    PYTHONPATH=. python tests/benchmarks/five_seeds.py [--seeds 5] [--threads 2]

The runs stay in the lab's home, where Compare shows them folded; those that are there already are not trained again.
"""

import argparse
import subprocess
import sys
from dataclasses import replace
from itertools import combinations

from cnnlab.comparison.experiments import Experiment, by_seed
from cnnlab.comparison.results import results
from cnnlab.comparison.statistics import compare_answers
from cnnlab.data.mnist import load_test_set
from cnnlab.inference.test_set import predictions_of
from cnnlab.models.definitions import DEFINITIONS, Definition
from cnnlab.runs.log import Status
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import all_runs
from cnnlab.training.recipe import TrainingConfig
from cnnlab.wording import percent


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    config = TrainingConfig(threads=arguments.threads)
    definitions = [definition for definition in DEFINITIONS.values() if definition.tutorial_losses]
    runs = {definition.name: trained(definition, config, range(arguments.seeds)) for definition in definitions}
    for definition in definitions:
        table = results(list(runs[definition.name].values()))
        accuracy, loss = table["test_accuracy"], table["train_loss"]
        print(
            f"{definition.title}, {len(table)} seeds: test accuracy {percent(accuracy.mean())} "
            f"({percent(accuracy.min())} to {percent(accuracy.max())}), "
            f"final train loss {loss.mean():.4f} ({loss.min():.4f} to {loss.max():.4f})"
        )
    labels = load_test_set()[1].numpy()
    first, second = definitions
    for seed in range(arguments.seeds):
        pair = runs[first.name][seed], runs[second.name][seed]
        verdict = compare_answers(labels, *(predictions_of(run).answers for run in pair))
        print(f"seed {seed}: {verdict.sentence(first.title, second.title)}")
    p_values = []
    for one, other in combinations(runs[first.name].values(), 2):
        p_values.append(compare_answers(labels, predictions_of(one).answers, predictions_of(other).answers).p_value)
    significant = sum(p_value < 0.05 for p_value in p_values)
    print(
        f"{first.title} against itself with another seed: {significant} of {len(p_values)} pairs differ by more than "
        f"chance (p from {min(p_values):.2g} to {max(p_values):.2g})"
    )


def trained(definition: Definition, config: TrainingConfig, seeds: range) -> dict[int, Run]:
    experiment = Experiment(definition.name, definition.source, replace(config, seed=0))
    finished = [run for run in all_runs() if run.status is Status.FINISHED]
    for seed in seeds:
        if seed not in by_seed(experiment, finished):
            command = [sys.executable, "-m", "cnnlab", "train", "--model", definition.name, "--seed", str(seed)]
            subprocess.run([*command, "--threads", str(config.threads)], check=True, stdout=subprocess.DEVNULL)
    return by_seed(experiment, [run for run in all_runs() if run.status is Status.FINISHED])


if __name__ == "__main__":
    main()
