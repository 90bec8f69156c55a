"""A worker: the process that trains one run, started by the scheduler as ``python -m cnnlab.workers.process``.

Mostly it is started before there is a run for it. It gets ready, and is then sent the run's folder and the file with
its lock over the socket that is its standard input.
"""

import os
import select
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

from cnnlab.data import mnist as data
from cnnlab.data.mnist import MNIST
from cnnlab.errors import LabError
from cnnlab.fused.gather import gathering_kernel
from cnnlab.fused.head import head_kernel
from cnnlab.fused.optimizer import update_kernels
from cnnlab.fused.pen import pen_kernel
from cnnlab.inference.test_set import predictions_of
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.log import Status
from cnnlab.runs.run import Run
from cnnlab.runs.writer import RunWriter
from cnnlab.training.loop import train
from cnnlab.training.recipe import TrainingConfig
from cnnlab.training.state import TrainingState
from cnnlab.workers.work import flush_denormal, work

_LONGEST_PATH = 65_536


def get_ready(is_called: Callable[[], bool]) -> MNIST | None:
    """Warm up everything a first step needs: load MNIST, compile the kernels, train each network for a moment.

    Parameters
    ----------
    is_called
        Whether there is a run to train: what its network does not need is then left for later workers.

    Returns
    -------
    MNIST or None
        None if it cannot be loaded: the run that needs it will say why.
    """
    flush_denormal()
    config = TrainingConfig(epochs=1, device="cpu")
    beside = ThreadPoolExecutor(2)
    loading = beside.submit(data.load, train_images_as_bytes=True)
    for compiled in (head_kernel, update_kernels, gathering_kernel, pen_kernel):
        beside.submit(compiled)
    for definition in takewhile(lambda _: not is_called(), DEFINITIONS.values()):
        with suppress(Exception):  # a registered network is anybody's code; its own run will say what is wrong
            state = TrainingState(definition.build(seed=0), config)
            for _ in train(state.model, loading.result().first(train=256, test=1), config, state):
                pass
    beside.shutdown(wait=False)  # a run that needs no such kernel does not wait for it
    try:
        return loading.result()
    except LabError:
        return None


def main() -> int:
    """Warm up, train the run that the scheduler sends, and exit after it, or when the scheduler is gone."""
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as scheduler:
        mnist = get_ready(is_called=lambda: bool(select.select([scheduler], [], [], 0)[0]))
        folder, descriptors, *_ = socket.recv_fds(scheduler, _LONGEST_PATH, 1)
    if not descriptors:
        return 0
    abandoned = threading.Event()
    threading.Thread(target=wait_for_end_of_input, args=(abandoned,), daemon=True).start()
    run = Run(Path(os.fsdecode(folder)))
    with RunWriter.inherit(run, descriptors[0]) as writer:
        try:
            for _ in work(run, writer, abandoned.is_set, mnist):
                pass
        except LabError as error:
            print(error, file=sys.stderr)
            return 1
        if run.status is Status.FINISHED:
            with suppress(Exception):  # a page that misses them makes them
                predictions_of(run)
                predictions_of(run, "pen")
    return 0


def wait_for_end_of_input(ended: threading.Event) -> None:
    """Wait until the parent process is gone, then set an event."""
    # Not sys.stdin.read(): a thread that waits in it keeps Python from ending in order.
    with suppress(ConnectionResetError):  # so it ends where the other process has not read all that it was sent
        while os.read(sys.stdin.fileno(), 4096):
            pass
    ended.set()


if __name__ == "__main__":
    sys.exit(main())
