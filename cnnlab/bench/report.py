"""What a benchmark measured, as a table and as JSON."""

import math
import os
import platform
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cnnlab.bench.peak import operations_for_an_image
from cnnlab.data import mnist as data
from cnnlab.fused.compiler import CannotFuse
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.training.recipe import TrainingConfig

STEPS_PER_EPOCH = math.ceil(data.TRAIN_IMAGES / TrainingConfig.batch_size)


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
    """How one speed compares with another, over the rounds."""

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
    peaks
        How many multiplications and additions the threads could do in a second, measured in each round; empty where
        there is no compiler.
    left_out
        The packages that are not installed, for each loop that needs them.
    failures
        A sentence for each loop that ended too early.
    """

    chunk: int
    threads: int
    timings: list[Timing]
    peaks: list[float]
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

    def share_of_peak(self, operations_for_an_image: int) -> Ratio | None:
        """Return what share of the peak the fused loop reaches, over the rounds; None if one of the two is missing."""
        fused = next((each for each in self.timings if each.loop == "fused"), None)
        if fused is None or not self.peaks:
            return None
        operations = operations_for_an_image * TrainingConfig.batch_size * self.chunk
        shares = [operations / seconds / peak for seconds, peak in zip(fused.seconds, self.peaks, strict=True)]
        return Ratio(statistics.median(shares), min(shares), max(shares))

    @property
    def versions(self) -> dict[str, str]:
        """The version of each part of what was measured."""
        return {name: version for timing in self.timings for name, version in timing.versions.items()}


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
        *_peak_lines(measurement),
        *left_out_lines(measurement),
    ]
    return "\n".join(lines)


def _peak_lines(measurement: Measurement) -> list[str]:
    """Return a line about the most that the processor can do, and what share of it the fused loop reaches."""
    try:
        operations = operations_for_an_image(DEFINITIONS["sequential"].build(seed=0))
    except CannotFuse:
        return []
    share = measurement.share_of_peak(operations)
    if share is None:
        return []
    return [
        f"Peak: {statistics.median(measurement.peaks) / 1e9:,.0f} billion multiplications and additions a second, in "
        f"registers; the fused loop does up to {operations / 1e6:.2f} million for an image, which is, with all that is "
        f"around them, {share.median:.0%} ({share.min:.0%}–{share.max:.0%}) of it"
    ]


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
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"
