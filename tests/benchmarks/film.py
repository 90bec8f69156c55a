"""What a run's film costs the worker that keeps it, and how long the pages wait for it.

    PYTHONPATH=. python tests/benchmarks/film.py [--rounds 7]

Each round trains the tutorial's recipe three times, in an order that changes: once with forty snapshots, and twice
without, which tells how much two equal runs differ here. The losses of all must be the same. Then the film is asked
for: an answer over the whole training, the test set at a moment that nobody has looked at, and both GIFs.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable

from cnnlab.data import mnist as data
from cnnlab.film.animation import drawing_film, filters_film
from cnnlab.film.moments import answers_over_training, film_of, filters_over_training
from cnnlab.inference.test_set import images_of, predictions_of
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import create_run
from cnnlab.runs.snapshots import kept_steps
from cnnlab.runs.writer import RunWriter
from cnnlab.training.recipe import TrainingConfig
from cnnlab.workers.work import work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as home:
        os.environ["CNNLAB_HOME"] = home
        data.load()
        trained(0)  # what only the first run pays for
        ratios, between_equals, kept = [], [], []
        for number in range(rounds):
            counts = {0: (0, 40, 0), 1: (40, 0, 0), 2: (0, 0, 40)}[number % 3]
            runs = [trained(count) for count in counts]
            assert len({tuple(run.history().batches["loss"]) for run, _ in runs}) == 1, "the losses differ"
            (with_film,) = (seconds for (_, seconds), count in zip(runs, counts, strict=True) if count)
            without = [seconds for (_, seconds), count in zip(runs, counts, strict=True) if not count]
            ratios.append(with_film / statistics.mean(without))
            between_equals.append(max(without) / min(without))
            (run,) = (run for (run, _), count in zip(runs, counts, strict=True) if count)
            kept.append(len(kept_steps(run)))
        print(f"snapshots kept: {min(kept)} to {max(kept)} of 4,690 steps; {size_of(run) / 1e6:.1f} MB")
        print(f"time with them over time without: {spread(ratios)}")
        print(f"the slower over the faster of two runs without: {spread(between_equals)}")
        with RunWriter.claim(run) as writer:
            weights = run.load_weights()
            times = [milliseconds(lambda step=step: writer.save_snapshot(weights, step)) for step in kept_steps(run)]
        share = sum(times) / 1000 / run.history().batches["seconds"].iloc[-1]
        print(f"forty of them take {sum(times):.0f} ms, {share:.2%} of the training")
        image = images_of("mnist")[0][0]
        print(f"an answer over the training, first: {milliseconds(lambda: answers_over_training(run, image)):.0f} ms")
        again = [milliseconds(lambda: answers_over_training(run, image)) for _ in range(20)]
        print(f"the same again: {statistics.median(again):.1f} ms")
        step_by_step = [milliseconds(lambda step=step: predictions_of(run, moment=step)) for step in kept_steps(run)]
        print(f"the test set at a moment: {statistics.median(step_by_step):.0f} ms, at most {max(step_by_step):.0f} ms")
        film_of(run)

        def film_of_filters() -> bytes:
            return filters_film(*filters_over_training(run), run.total_steps)

        def film_of_drawing() -> bytes:
            return drawing_film(image[0].numpy(), answers_over_training(run, image), run.total_steps)

        print(f"GIF of the filters: {milliseconds(film_of_filters):.0f} ms")
        print(f"GIF of a drawing: {milliseconds(film_of_drawing):.0f} ms")


def trained(snapshots: int) -> tuple[Run, float]:
    """Return a run of the tutorial's recipe, and the seconds that it trained, evaluation and writing included."""
    run = create_run(DEFINITIONS["sequential"], TrainingConfig(), snapshots=snapshots)
    with RunWriter.claim(run) as writer:
        begun = time.perf_counter()
        for _ in work(run, writer):
            pass
        return run, time.perf_counter() - begun


def size_of(run: Run) -> int:
    return sum(path.stat().st_size for path in run.snapshots_folder.iterdir())


def spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.3f} in the median, {min(ratios):.3f} to {max(ratios):.3f}"


def milliseconds(function: Callable[[], object]) -> float:
    begun = time.perf_counter()
    function()
    return 1000 * (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
