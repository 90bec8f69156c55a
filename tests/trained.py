"""Runs that a test trains in its own process."""

from cnnlab.data.mnist import MNIST
from cnnlab.runs.run import Run
from cnnlab.runs.writer import RunWriter
from cnnlab.workers.work import work


def trained(run: Run, mnist: MNIST, *, until: int | None = None) -> Run:
    """Train a run to its end, or leave it after a step as if its process were gone."""
    with RunWriter.claim(run) as writer:
        for event in work(run, writer, mnist=mnist):
            if event.step == until:
                break
    return run
