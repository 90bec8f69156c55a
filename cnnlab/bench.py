"""Measures how fast training loops train the tutorial's network with its recipe, each one against the tutorial's own.

    tutorial          the tutorial's loop: torchvision's MNIST with ToTensor, a DataLoader, and loss.item() in each step
    plain             a run of the lab with PyTorch's own kernels, its log, checkpoints and looks for a stop included
    fused             the same with the lab's kernels
    keras-tensorflow  Keras' fit on arrays in memory
    keras-jax         the same on the other backend
    lightning         Lightning's fit on torchvision's MNIST with ToTensor and a DataLoader, as its own guide does it

Each loop has a process of its own (``python -m cnnlab.bench LOOP THREADS``). It gets ready, trains some batches to warm
up, and waits. Then one process after the other is told to train a chunk of batches, round after round: one loop works
at a time, no library's threads are in another's way, and what slows the machine down for a while slows all loops of a
round. So a loop is compared with what the tutorial's took in the same round.

It wants a machine with nothing else to do. With default settings, OpenMP's threads wait for each other busily, and one
busy core makes the tutorial's loop several times slower, while the lab's have other settings: the ratios then tell more
of that than of the loops.

Only training counts. A run's evaluating and keeping of the weights after each epoch is left out, and what a fit does
before its first epoch. Two things cost a little more in chunks than in long trainings: a run writes a checkpoint when a
second has passed since the last, so it does in every chunk; and to Keras and Lightning, each chunk is an epoch.
"""

import json
import math
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn, optim
from torch.utils.data import DataLoader, Dataset

from cnnlab import TRAINING_ENVIRONMENT
from cnnlab.data import mnist as data
from cnnlab.errors import LabError
from cnnlab.fused.compiler import CannotFuse
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run
from cnnlab.runs.writer import RunWriter
from cnnlab.storage.files import unfinished_suffix
from cnnlab.storage.home import home, writing_to_home
from cnnlab.training.events import BatchEvent
from cnnlab.training.recipe import MAX_EPOCHS, TrainingConfig
from cnnlab.worker import work

ROUNDS = 8
CHUNK = 100
# Keras trains a chunk on as many different images as it has, and the training set has no more.
MAX_CHUNK = data.TRAIN_IMAGES // TrainingConfig.batch_size
# All rounds together must not be longer than a run can be.
MAX_ROUNDS = 500
STEPS_PER_EPOCH = math.ceil(data.TRAIN_IMAGES / TrainingConfig.batch_size)

_BATCH_SIZE = TrainingConfig.batch_size
_WARM_UP_BATCHES = 20
_PROJECT = Path(__file__).parent.parent


class LoopEnded(LabError):
    """The process of a loop ended before it was told to."""


# Trains a number of batches, and returns the seconds that this took.
TrainChunk = Callable[[int], float]


@dataclass(frozen=True)
class Loop:
    """One way to train the tutorial's network.

    Attributes
    ----------
    name
        What the command line calls it.
    prepare
        Gets the loop ready, with a number of threads, in a process that has nothing else to do.
    packages
        The modules that it is made of.
    environment
        What its process finds in its environment, whatever is there already.
    is_the_labs
        Whether the lab trains it; its process then has the environment of those that do.
    """

    name: str
    prepare: Callable[[int], TrainChunk]
    packages: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    is_the_labs: bool = False

    def missing_packages(self) -> list[str]:
        """Return those of its packages that are not installed."""
        return [package for package in self.packages if find_spec(package) is None]


@dataclass(frozen=True)
class Timing:
    """How long a loop took.

    Attributes
    ----------
    loop
        Its name.
    seconds
        For the chunk of each round.
    versions
        Of what it is made of, by name.
    """

    loop: str
    seconds: list[float]
    versions: dict[str, str]


@dataclass(frozen=True)
class Ratio:
    """How many times as fast as the tutorial's loop another one is, over the rounds."""

    median: float
    min: float
    max: float


@dataclass(frozen=True)
class Measurement:
    """What a benchmark found.

    Attributes
    ----------
    chunk
        The batches of a chunk.
    threads
        The threads of each loop.
    timings
        Of each loop that went through all rounds.
    left_out
        The packages that are not installed, for each loop that needs them.
    failures
        A sentence for each loop that ended too early.
    """

    chunk: int
    threads: int
    timings: list[Timing]
    left_out: dict[str, list[str]]
    failures: list[str]

    def seconds_per_epoch(self, timing: Timing) -> float:
        """Return how long a loop takes for an epoch, by its median chunk."""
        return statistics.median(timing.seconds) / self.chunk * STEPS_PER_EPOCH

    def ratio(self, timing: Timing) -> Ratio | None:
        """Return a loop's speed over that of the tutorial's loop in the same round; None if that one has failed."""
        tutorial = next((each for each in self.timings if each.loop == "tutorial"), None)
        if tutorial is None:
            return None
        ratios = [ours / theirs for ours, theirs in zip(tutorial.seconds, timing.seconds, strict=True)]
        return Ratio(statistics.median(ratios), min(ratios), max(ratios))

    @property
    def versions(self) -> dict[str, str]:
        """The version of each part of what was measured."""
        return {name: version for timing in self.timings for name, version in timing.versions.items()}


def measure(rounds: int, chunk: int, threads: int, tell: Callable[[str], None]) -> Measurement:
    """Measure each loop whose packages are installed.

    Parameters
    ----------
    rounds
        How many chunks each loop trains, after some batches to warm up.
    chunk
        The batches of a chunk, at most `MAX_CHUNK`.
    threads
        The threads of each loop.
    tell
        Called with a line now and then that says how far it is.

    Raises
    ------
    HomeError
        If the lab's home cannot be written.
    """
    left_out = {loop.name: missing for loop in LOOPS.values() if (missing := loop.missing_packages())}
    failures: list[str] = []
    with _home_for_a_while() as folder, ExitStack() as until_the_end:
        processes = []
        for loop in LOOPS.values():
            if loop.name not in left_out:
                process = until_the_end.enter_context(_LoopProcess(loop, folder, threads))
                tell(f"Getting {loop.name} ready")
                processes += _those_that_go_on([process], _LoopProcess.wait_until_ready, failures)
        for number in range(1, rounds + 1):
            tell(f"Round {number:,} of {rounds:,}")
            processes = _those_that_go_on(processes, lambda process: process.train(chunk), failures)
    timings = [Timing(process.loop.name, process.seconds, process.versions) for process in processes]
    return Measurement(chunk, threads, timings, left_out, failures)


@contextmanager
def _home_for_a_while() -> Iterator[Path]:
    """Make a home for runs that nobody wants to keep, on the disk that real runs are written to."""
    with writing_to_home():
        home().mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(
            dir=home(), prefix=".bench.", suffix=unfinished_suffix(), ignore_cleanup_errors=True
        )
    with folder as path:
        yield Path(path)


class _LoopProcess:
    """A process that trains a loop when it is told to.

    Attributes
    ----------
    seconds, versions
        What it has told so far.
    """

    def __init__(self, loop: Loop, folder: Path, threads: int) -> None:
        self.loop = loop
        self.seconds: list[float] = []
        self.versions: dict[str, str] = {}
        self._errors_path = folder / f"{loop.name}.errors.txt"
        with self._errors_path.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cnnlab.bench", loop.name, str(threads)],
                stdin=subprocess.PIPE,  # its end tells the process that this one is gone
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,  # a Ctrl-C in the terminal is this process's to handle
                cwd=_PROJECT,
                env={**_base_environment(loop), "CNNLAB_HOME": str(folder), **_settings(threads), **loop.environment},
            )

    def wait_until_ready(self) -> None:
        self.versions = self._reply()

    def train(self, batches: int) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # that no reply comes will tell
            self._process.stdin.write(f"{batches}\n")
            self._process.stdin.flush()
        self.seconds.append(self._reply())

    def _reply(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise LoopEnded(f"The loop {self.loop.name} ended too early {self._how_it_ended()}.")
        return json.loads(line)

    def _how_it_ended(self) -> str:
        code = self._process.wait()
        how = f"with exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
        lines = self._errors_path.read_text(errors="replace").strip().splitlines()
        return f"{how}: {lines[-1].removesuffix('.')}" if lines else f"{how}, and said nothing about why"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)  # nothing that it still does is of any use
        with suppress(BrokenPipeError), self._process:
            pass


def _base_environment(loop: Loop) -> dict[str, str]:
    """Return what a user's shell would give to a loop, or the lab to its own; `cnnlab.__main__` has mixed the two."""
    users = {name: value for name, value in os.environ.items() if TRAINING_ENVIRONMENT.get(name) != value}
    return TRAINING_ENVIRONMENT | users if loop.is_the_labs else users


def _settings(threads: int) -> dict[str, str]:
    """Return an environment in which the libraries that are not told in Python use the CPU, with some threads."""
    return {
        "CUDA_VISIBLE_DEVICES": "",
        "JAX_PLATFORMS": "cpu",
        "NPROC": str(threads),  # JAX's
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": str(threads),
    }


def _those_that_go_on(
    processes: Iterable[_LoopProcess], ask: Callable[[_LoopProcess], None], failures: list[str]
) -> list[_LoopProcess]:
    going_on = []
    for process in processes:
        try:
            ask(process)
            going_on.append(process)
        except LoopEnded as error:
            failures.append(str(error))
    return going_on


def table_of(measurement: Measurement) -> str:
    """Return a measurement as lines for people."""
    lines = [f"{'loop':<18}{'s per epoch':>11}   times as fast as the tutorial's: median (min–max)"]
    for timing in measurement.timings:
        ratio = measurement.ratio(timing)
        compared = f"{ratio.median:.2f} ({ratio.min:.2f}–{ratio.max:.2f})" if ratio else "-"
        lines.append(f"{timing.loop:<18}{measurement.seconds_per_epoch(timing):>11.2f}   {compared}")
    lines += [
        "",
        f"Machine: {machine()}",
        f"Versions: {', '.join(f'{name} {version}' for name, version in measurement.versions.items()) or '-'}",
        f"Threads: {measurement.threads} for each loop",
        *left_out_lines(measurement),
    ]
    return "\n".join(lines)


def left_out_lines(measurement: Measurement) -> list[str]:
    """Return a line for each loop that was left out, with the reason."""
    return [
        f"Left out: {name}, because {' and '.join(packages)} {'is' if len(packages) == 1 else 'are'} not installed"
        for name, packages in measurement.left_out.items()
    ]


def records_of(measurement: Measurement) -> list[dict[str, Any]]:
    """Return a measurement as an object for each loop that JSON can hold."""
    records = []
    for timing in measurement.timings:
        ratio = measurement.ratio(timing)
        records.append(
            {
                "loop": timing.loop,
                "seconds_per_epoch": measurement.seconds_per_epoch(timing),
                "ratio": asdict(ratio) if ratio else None,
                "rounds": len(timing.seconds),
                "chunk": measurement.chunk,
                "threads": measurement.threads,
                "versions": timing.versions,
                "machine": machine(),
            }
        )
    return records


def machine() -> str:
    """Return what this machine's processor is called, and how many cores it has."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def seconds_to_train(losses: Iterator[float | None], batches: int) -> float:
    """Have a loop train a number of batches, and return the seconds that this took.

    Parameters
    ----------
    losses
        Gives the loss of each batch once it is trained, and None once something else is done, which does not count.
    """
    seconds = 0.0
    while batches:
        began = perf_counter()
        loss = next(losses)
        if loss is not None:
            seconds += perf_counter() - began
            batches -= 1
    return seconds


def tutorial_losses(trainloader: Iterable[tuple[Tensor, Tensor]], model: nn.Module) -> Iterator[float]:
    """Train a model as the tutorial does, epoch after epoch, and yield the loss of each batch.

    Parameters
    ----------
    trainloader
        Gives the batches of an epoch, each time it is iterated: images, shape (N, 1, 28, 28), and labels, shape (N,).
    """
    criterion = nn.CrossEntropyLoss(reduction="mean")
    optimizer = optim.RMSprop(model.parameters(), lr=0.001, momentum=0.9)
    while True:
        running_loss = 0.0
        for inputs, labels in trainloader:
            optimizer.zero_grad()
            outputs = model(inputs)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
            batch_loss = loss.item()
            running_loss += batch_loss
            yield batch_loss


def lab_losses(kernels: str, threads: int) -> Iterator[float | None]:
    """Train a new run in the lab's home, and yield the loss of each batch, and None at the end of each epoch.

    Raises
    ------
    CannotFuse
        If the run has to take PyTorch's kernels instead of the lab's: they must not be measured as the lab's.
    """
    config = TrainingConfig(epochs=MAX_EPOCHS, device="cpu", threads=threads, kernels=kernels)
    run = create_run(DEFINITIONS["sequential"], config)
    with RunWriter.claim(run) as writer:
        writer.prepare_to_train()
        for event in work(run, writer):
            if event.step == 1 and (history := run.history()).kernels != kernels:
                raise CannotFuse(str(history.kernels_reason))
            yield event.loss if isinstance(event, BatchEvent) else None


def torchvision_training_set() -> Dataset[tuple[Tensor, int]]:
    """Return the training images as the tutorial has them: each one a PIL image that becomes a tensor when it is asked.

    Raises
    ------
    DataError, HomeError
        As `cnnlab.data.mnist.load` does.
    """
    torchvision = data.import_torchvision()
    transform = torchvision.transforms.Compose([torchvision.transforms.ToTensor()])
    with data.torchvision_root() as root:
        return torchvision.datasets.MNIST(root, train=True, download=True, transform=transform)


def _prepare_tutorial(threads: int) -> TrainChunk:
    torch.set_num_threads(threads)
    trainloader = DataLoader(torchvision_training_set(), batch_size=_BATCH_SIZE, shuffle=True)
    return partial(seconds_to_train, tutorial_losses(trainloader, DEFINITIONS["sequential"].build(seed=0)))


def _prepare_plain(threads: int) -> TrainChunk:
    return partial(seconds_to_train, lab_losses("torch", threads))


def _prepare_fused(threads: int) -> TrainChunk:
    return partial(seconds_to_train, lab_losses("fused", threads))


class _Stopwatch:
    """Measures the seconds between two calls that a library makes, whatever it tells with them."""

    def start(self, *_: object) -> None:
        self._started = perf_counter()

    def stop(self, *_: object) -> None:
        self.seconds = perf_counter() - self._started


def _prepare_keras(threads: int) -> TrainChunk:
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
    watch = _Stopwatch()
    callback = keras.callbacks.LambdaCallback(on_epoch_begin=watch.start, on_epoch_end=watch.stop)

    def train(batches: int) -> float:
        size = batches * _BATCH_SIZE
        begin = random.randint(0, len(images) - size)
        part = slice(begin, begin + size)
        model.fit(images[part], labels[part], batch_size=_BATCH_SIZE, shuffle=True, callbacks=[callback], verbose=0)
        return watch.seconds

    return train


def _prepare_lightning(threads: int) -> TrainChunk:
    """Get Lightning ready. A chunk is an epoch of that many batches, timed without what a fit does before and after."""
    torch.set_num_threads(threads)
    trainloader = DataLoader(torchvision_training_set(), batch_size=_BATCH_SIZE, shuffle=True)
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
    watch = _Stopwatch()
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


LOOPS: dict[str, Loop] = {
    loop.name: loop
    for loop in (
        Loop("tutorial", _prepare_tutorial, ("torch", "torchvision")),
        Loop("plain", _prepare_plain, ("torch",), is_the_labs=True),
        Loop("fused", _prepare_fused, ("torch",), is_the_labs=True),
        Loop("keras-tensorflow", _prepare_keras, ("keras", "tensorflow"), {"KERAS_BACKEND": "tensorflow"}),
        Loop("keras-jax", _prepare_keras, ("keras", "jax"), {"KERAS_BACKEND": "jax"}),
        Loop("lightning", _prepare_lightning, ("torch", "torchvision", "lightning")),
    )
}


def main(name: str, threads: str) -> int:
    """Get a loop ready, tell the versions of its parts, and train a chunk for each line of standard input.

    A line holds the number of batches, and is answered with the seconds that they took. The end of the input ends it.
    """
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as replies:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what the libraries print is no reply
        try:
            loop = LOOPS[name]
            train = loop.prepare(int(threads))
            train(_WARM_UP_BATCHES)
            versions = {package: import_module(package).__version__ for package in loop.packages}
            print(json.dumps({"Python": platform.python_version(), **versions}), file=replies, flush=True)
            for line in sys.stdin:
                print(json.dumps(train(int(line))), file=replies, flush=True)
        except LabError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
