"""What an epoch with pen digits costs, beside its share of the images, and what testing on them costs.

    PYTHONPATH=. python tests/benchmarks/pen_epochs.py [--rounds 3]

In seconds of one core, which other work on the machine sways less than the clock on the wall.
"""

import argparse
import statistics
import time
from dataclasses import replace

from cnnlab.data.mnist import load
from cnnlab.drawing.pen import load_pen_data
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.training.evaluation import evaluate
from cnnlab.training.events import EpochEvent
from cnnlab.training.loop import train
from cnnlab.training.recipe import PRESETS, TrainingConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds

    mnist, pen = load(train_images_as_bytes=True), load_pen_data(with_training=True)
    recipes = {
        "tutorial": TrainingConfig(epochs=1, threads=1),
        "tutorial, augmentation": TrainingConfig(epochs=1, threads=1, augment=True),
        "For drawing": TrainingConfig(**PRESETS["drawing"] | {"epochs": 1, "threads": 1}),
    }
    for name, recipe in recipes.items():
        seconds: dict[str, list[float]] = {"mnist": [], "mnist+pen": []}
        tests = []
        for data in [*seconds] * rounds:
            config = replace(recipe, data=data)
            model = DEFINITIONS["sequential"].build(0)
            began = time.process_time()
            for event in train(model, mnist, config, pen=pen):
                if isinstance(event, EpochEvent):
                    seconds[data].append(time.process_time() - began)
            began = time.process_time()
            evaluate(model, pen.test_images, pen.test_labels)
            tests.append(time.process_time() - began)
        alone, both = (statistics.median(each) for each in seconds.values())
        share = replace(recipe, data="mnist+pen").images_per_epoch / replace(recipe, data="mnist").images_per_epoch
        print(
            f"{name}: MNIST {alone:.2f} s, with pen digits {both:.2f} s for {share:.2f} times the images: "
            f"{both / alone / share:.2f} times the share; their test {1000 * statistics.median(tests):.0f} ms, "
            f"{100 * statistics.median(tests) / alone:.1f} % of the shorter epoch"
        )


if __name__ == "__main__":
    main()
