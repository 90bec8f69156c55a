"""Measures the lab's training loops and the tutorial's beside those of other libraries, each with the same network.

    pip install keras tensorflow jax lightning     # those that are not installed are left out
    PYTHONPATH=. python tests/benchmarks/other_libraries.py [--rounds 8] [--chunk 100] [--threads 2]

    keras-tensorflow  Keras' fit on arrays in memory
    keras-jax         the same on the other backend
    lightning         Lightning's fit on torchvision's MNIST with ToTensor and a DataLoader, as its own guide does it

All loops take turns in the same rounds, as ``python -m cnnlab bench`` has it (see cnnlab/bench/loops.py). To Keras and
Lightning, each chunk is an epoch, which costs them a little more than in long trainings; what a fit does before its
first epoch does not count.
"""

import argparse
import random
import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, optim
from torch.utils.data import DataLoader

from cnnlab.bench.loops import LOOPS, MAX_CHUNK, Loop, TrainChunk, torchvision_training_set, train_when_told
from cnnlab.bench.measure import CHUNK, ROUNDS, measure
from cnnlab.bench.report import table_of
from cnnlab.data import mnist as data
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.storage.cores import available_cores
from cnnlab.storage.home import home
from cnnlab.training.recipe import TrainingConfig

BATCH_SIZE = TrainingConfig.batch_size
# Starts the process of a loop, which trains when it is told to.
COMMAND = (str(Path(__file__).resolve()), "--train")


def main() -> None:
    if sys.argv[1:2] == ["--train"]:
        name, threads = sys.argv[2:]
        sys.exit(train_when_told(other_loops(int(threads)), name, threads))
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--chunk", type=int, default=CHUNK, help=f"batches, at most {MAX_CHUNK}")
    parser.add_argument("--threads", type=int, default=available_cores())
    arguments = parser.parse_args()
    loops = LOOPS | other_loops(arguments.threads)
    tell = partial(print, file=sys.stderr)
    measurement = measure(arguments.rounds, arguments.chunk, arguments.threads, tell, loops)
    print(table_of(measurement))
    if measurement.failures:
        sys.exit(" ".join(measurement.failures))


def other_loops(threads: int) -> dict[str, Loop]:
    # Keras' backends cannot be told in Python that they have the CPU alone and these threads.
    settings = {
        "JAX_PLATFORMS": "cpu",
        "NPROC": str(threads),  # JAX's
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": str(threads),
    }
    loops = [
        Loop(
            f"keras-{backend}",
            prepare_keras,
            ("keras", backend),
            settings | {"KERAS_BACKEND": backend},
            command=COMMAND,
        )
        for backend in ("tensorflow", "jax")
    ]
    loops.append(Loop("lightning", prepare_lightning, ("torch", "torchvision", "lightning"), command=COMMAND))
    return {loop.name: loop for loop in loops}


class Stopwatch:
    """Measures the seconds between two calls that a library makes, whatever it tells with them."""

    def start(self, *_: object) -> None:
        self._started = perf_counter()

    def stop(self, *_: object) -> None:
        self.seconds = perf_counter() - self._started


def prepare_keras(threads: int) -> TrainChunk:
    """Get Keras ready, which takes its threads and its backend from the environment.

    A chunk is an epoch on a part of the training set, timed without what a fit does before its first epoch.
    """
    keras: Any = import_module("keras")
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(32, activation="relu"),
            layers.Dense(10),
        ]
    )
    # Keras' own defaults for rho and epsilon are not PyTorch's.
    optimizer = keras.optimizers.RMSprop(learning_rate=0.001, rho=0.99, momentum=0.9, epsilon=1e-8)
    model.compile(optimizer=optimizer, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    mnist = data.load()
    images, labels = mnist.train_images.reshape(-1, 28, 28, 1).numpy(), mnist.train_labels.numpy()
    watch = Stopwatch()
    callback = keras.callbacks.LambdaCallback(on_epoch_begin=watch.start, on_epoch_end=watch.stop)

    def train(batches: int) -> float:
        size = batches * BATCH_SIZE
        begin = random.randint(0, len(images) - size)
        part = slice(begin, begin + size)
        model.fit(images[part], labels[part], batch_size=BATCH_SIZE, shuffle=True, callbacks=[callback], verbose=0)
        return watch.seconds

    return train


def prepare_lightning(threads: int) -> TrainChunk:
    """Get Lightning ready. A chunk is an epoch of that many batches, timed without what a fit does before and after."""
    torch.set_num_threads(threads)
    trainloader = DataLoader(torchvision_training_set(), batch_size=BATCH_SIZE, shuffle=True)
    lightning: Any = import_module("lightning")

    class Classifier(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = DEFINITIONS["sequential"].build(seed=0)
            self.rmsprop = optim.RMSprop(self.network.parameters(), lr=0.001, momentum=0.9)

        def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
            images, labels = batch
            return F.cross_entropy(self.network(images), labels)

        def configure_optimizers(self) -> optim.Optimizer:
            return self.rmsprop  # one for all chunks

    classifier = Classifier()
    watch = Stopwatch()
    callback = lightning.pytorch.callbacks.LambdaCallback(
        on_train_epoch_start=watch.start, on_train_epoch_end=watch.stop
    )

    def train(batches: int) -> float:
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_epochs=1,
            limit_train_batches=batches,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[callback],
            default_root_dir=home(),
        )
        trainer.fit(classifier, trainloader)
        return watch.seconds

    return train


if __name__ == "__main__":
    main()
