"""Sends queued runs to a Ray cluster, and records here what they send back.

    CNNLAB_RAY_ADDRESS   the cluster: HOST:PORT, or "auto" for the one that this machine has joined

The scheduler starts this as a process of its own: a process that uses Ray is ended by Ray when its cluster has gone.
Each run is one task of Ray's, and has a thread here that holds the right to write it. The task sends parcels, in which
lies what a worker on this machine would have written: lines of the log, checkpoints, weights. So a task that is lost
with its machine costs a second of training: another one goes on from the last checkpoint.
"""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import ray
import torch
from ray.exceptions import LocalRayletDiedError, RayError, RayTaskError, RuntimeEnvSetupError

from cnnlab import TRAINING_ENVIRONMENT
from cnnlab.data import mnist as data
from cnnlab.data.mnist import MNIST
from cnnlab.errors import LabError
from cnnlab.runs.log import Status
from cnnlab.runs.queue import note_turn
from cnnlab.runs.record import Record
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import all_runs
from cnnlab.runs.writer import RunBusy, RunWriter, checkpoint_of
from cnnlab.storage.home import writing_to_home
from cnnlab.sweeps.sweep import waiting_runs_of
from cnnlab.training.events import Event
from cnnlab.training.recipe import TrainingConfig
from cnnlab.training.state import TrainingState
from cnnlab.workers.process import wait_for_end_of_input
from cnnlab.workers.settings import parallel_runs
from cnnlab.workers.work import Order, log_failure, work

# A run in training sends a parcel about as often.
_PARCEL_SECONDS = 0.25
_LOOK_SECONDS = 0.25
_QUEUE_LOOK_SECONDS = 1.0
_CONNECT_SECONDS = 5.0
# A parcel that lies unopened so long that as many follow it keeps its task waiting.
_PARCELS_ON_THE_WAY = 16
# These networks fill a fraction of a GPU: so many runs share one.
RUNS_ON_A_GPU = 4
# A run whose machines are lost so often before it has a further checkpoint is not sent to another one.
_MOST_LOSSES = 4


class NoCluster(LabError):
    """No cluster answers."""


class ClusterFault(LabError):
    """A cluster cannot train a run."""


# A method of `RunWriter` with its arguments, to be called on the machine that owns the run.
Write = Callable[[RunWriter], None]


class Parcels(Record):
    """Buffers log lines, checkpoints and weights for the machine that owns the run."""

    def __init__(self, identity: str) -> None:
        self._identity = identity
        self._writes: list[Write] = []
        self._sent = time.monotonic()

    def append(self, event: str, **fields: Any) -> None:
        """Send a line for the log."""
        self._writes.append(partial(RunWriter.append, event=event, **fields))

    def append_training(self, event: Event) -> None:
        """Send an event of the training loop."""
        self._writes.append(partial(RunWriter.append_training, event=event))

    def save(self, state: TrainingState, *, weights: bool) -> None:
        """Send a checkpoint, and the weights if asked."""
        if weights:
            self.save_weights(state.model.state_dict(), state.step)
        checkpoint = checkpoint_of(state, self._identity)
        self._writes.append(partial(RunWriter.save_checkpoint, checkpoint=checkpoint))

    def save_weights(self, weights: dict[str, torch.Tensor], step: int | None = None) -> None:
        """Send the weights as they are now."""
        self._writes.append(partial(RunWriter.save_weights, weights=_copies(weights), step=step))

    def save_snapshot(self, weights: dict[str, torch.Tensor], step: int) -> None:
        """Send the weights as they are now, to be kept beside others."""
        self._writes.append(partial(RunWriter.save_snapshot, weights=_copies(weights), step=step))

    def drop_snapshots_after(self, step: int) -> None:
        """Send word that the snapshots of later steps are let go."""
        self._writes.append(partial(RunWriter.drop_snapshots_after, step=step))

    @property
    def is_due(self) -> bool:
        """Whether the last parcel was sent long enough ago."""
        return time.monotonic() - self._sent >= _PARCEL_SECONDS

    def take(self) -> list[Write]:
        """Return everything buffered since the last call."""
        writes, self._writes = self._writes, []
        self._sent = time.monotonic()
        return writes


def _copies(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}


def train_order(order: Order) -> Iterator[list[Write]]:
    """Train a run on a machine of the cluster.

    Yields
    ------
    list of Write
        What the machine that keeps the run has to write.
    """
    os.environ.setdefault("CNNLAB_HOME", str(_node_home()))
    parcels = Parcels(order.identity)
    with suppress(LabError):  # it is told in the last parcel
        for _ in work(order, parcels, mnist=_mnist()):
            if parcels.is_due:
                yield parcels.take()
    yield parcels.take()


def _node_home() -> Path:
    """Return where a machine of the cluster keeps MNIST and the compiled kernels for the next run."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cnnlab"


@cache
def _mnist() -> MNIST | None:
    with suppress(LabError):  # the run that misses it says why
        return data.load(train_images_as_bytes=True)
    return None


class Cluster:
    """A Ray cluster that this process is connected to.

    Raises
    ------
    NoCluster
        If none answers at the address.
    """

    def __init__(self, address: str) -> None:
        _require_answer(address)
        try:
            ray.init(
                address=address,
                log_to_driver=False,
                runtime_env={
                    "py_modules": [str(Path(__file__).parents[1])],
                    "excludes": ["__pycache__"],
                    "env_vars": TRAINING_ENVIRONMENT,
                },
            )
        except (RayError, ConnectionError, ValueError, RuntimeError) as error:
            raise NoCluster(_no_cluster(address, str(error).splitlines()[0])) from error

    @property
    def cores(self) -> int:
        """The cores of all its machines."""
        return int(ray.cluster_resources().get("CPU", 0))

    def request_of(self, config: TrainingConfig) -> dict[str, float]:
        """Return what a run's task asks for: its threads, or a share of a GPU if there are any.

        Raises
        ------
        ClusterFault
            If no machine of the cluster has as much.
        """
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        gpus = max((machine.get("GPU", 0) for machine in machines), default=0)
        if config.device == "cuda" and not gpus:
            raise ClusterFault("The run asks for a GPU, and no machine of the cluster has one.")
        if config.device == "cuda" or (config.device == "auto" and gpus):
            return {"num_cpus": 0, "num_gpus": 1 / RUNS_ON_A_GPU}
        most_cores = int(max((machine.get("CPU", 0) for machine in machines), default=0))
        if config.threads > most_cores:
            raise ClusterFault(
                f"The run asks for {config.threads} threads, and no machine of the cluster has more than {most_cores} "
                "cores. Start a new run with fewer threads, or add such a machine and resume."
            )
        return {"num_cpus": config.threads, "num_gpus": 0}

    def has_room(self, requests: list[dict[str, float]]) -> bool:
        """Return whether the cluster has the resources for all of them at once."""
        has = ray.cluster_resources()
        return all(
            sum(request[asked] for request in requests) <= has.get(name, 0)
            for asked, name in (("num_cpus", "CPU"), ("num_gpus", "GPU"))
        )


def _require_answer(address: str) -> None:
    """Check that something listens there: Ray itself would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise NoCluster(f"CNNLAB_RAY_ADDRESS is {address!r}; it must be HOST:PORT, or auto.")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise NoCluster(_no_cluster(address, getattr(error, "strerror", None) or str(error))) from error


def _no_cluster(address: str, reason: str) -> str:
    return (
        f"No Ray cluster answers at {address} ({reason.rstrip('.')}). See that it is started and that this machine has "
        "joined it (ray start), or unset CNNLAB_RAY_ADDRESS to train on this machine alone."
    )


class Sender:
    """Sends queued runs to a cluster while it has free resources, following each in a thread, until it is closed.

    Parameters
    ----------
    sweep_id
        Leave all runs but those of this sweep to others.
    """

    def __init__(self, cluster: Cluster, sweep_id: str | None = None) -> None:
        self._cluster = cluster
        self._sweep_id = sweep_id
        self._task = ray.remote(train_order)
        self._requests: dict[threading.Thread, dict[str, float]] = {}
        self._closed = threading.Event()
        self._cluster_is_gone = threading.Event()
        self._one_has_ended = threading.Event()

    def run_until(self, server_is_gone: threading.Event) -> None:
        """Serve the queue until the server is gone, then interrupt the runs in training.

        Raises
        ------
        NoCluster
            If the cluster is gone before.
        """
        while not (server_is_gone.is_set() or self._cluster_is_gone.is_set()):
            self._requests = {thread: request for thread, request in self._requests.items() if thread.is_alive()}
            with suppress(OSError, LabError):  # for a moment a folder vanished, or the home was full; look again
                self._send_waiting_runs()
            self._one_has_ended.wait(timeout=_QUEUE_LOOK_SECONDS)
            self._one_has_ended.clear()
        self._closed.set()
        for thread in self._requests:
            thread.join()
        if self._cluster_is_gone.is_set():
            raise NoCluster("The Ray cluster is gone. Runs that it trained are interrupted; they can be resumed.")

    def _send_waiting_runs(self) -> None:
        if not (waiting := waiting_runs_of(self._sweep_id)):
            return
        limit = parallel_runs()
        training = 0 if limit is None else sum(run.status is Status.RUNNING for run in all_runs())
        for run in waiting:
            if limit is not None and training >= limit:
                return
            try:
                request = self._cluster.request_of(run.config)
            except ClusterFault as error:
                with writing_to_home(), RunWriter.claim(run) as writer:
                    writer.failed(str(error))
                continue
            if not self._cluster.has_room([*self._requests.values(), request]):
                return  # nor are those behind it sent: they would make it wait longer
            with suppress(RunBusy):  # another server was first
                writer = RunWriter.claim(run)
                if run.status is not Status.QUEUED:
                    writer.close()
                    continue
                writer.starting()
                note_turn(run)
                thread = threading.Thread(target=self._follow, args=(run, writer), daemon=True)
                self._requests[thread] = request
                thread.start()
                training += 1

    def _follow(self, run: Run, writer: RunWriter) -> None:
        with writer:
            try:
                with writing_to_home():
                    self._train(run, writer)
            except LabError as error:
                log_failure(writer, error)
        self._one_has_ended.set()

    def _train(self, run: Run, writer: RunWriter) -> None:
        losses, steps_kept = 0, -1
        while True:
            try:
                # Asked again after a loss: perhaps no machine is left that has as much.
                request = self._requests[threading.current_thread()] = self._cluster.request_of(run.config)
                if self._train_on_one_machine(run, writer, request):
                    return None
            except ClusterFault as error:
                writer.go_back_to_checkpoint()
                return writer.interrupted(str(error))
            except RayTaskError as error:
                raise ClusterFault(f"A machine of the cluster could not train it: {error.cause!r}.") from error
            except RuntimeEnvSetupError as error:
                raise ClusterFault(f"A machine of the cluster could not take the lab's code: {error}.") from error
            except LocalRayletDiedError:
                self._cluster_is_gone.set()
                writer.go_back_to_checkpoint()
                return writer.interrupted("The Ray cluster is gone.")
            except RayError as error:  # the machine is gone, or Ray's process on it
                checkpoint = run.load_checkpoint()
                steps = checkpoint["position"]["step"] if checkpoint else 0
                losses, steps_kept = (1, steps) if steps > steps_kept else (losses + 1, steps_kept)
                if losses >= _MOST_LOSSES:
                    reason = f"The cluster lost it {losses} times in a row ({type(error).__name__})."
                    writer.go_back_to_checkpoint()
                    return writer.interrupted(reason)
                writer.starting()

    def _train_on_one_machine(self, run: Run, writer: RunWriter, request: dict[str, float]) -> bool:
        """Return whether the run has ended; it has not if it would ask for something else by now."""
        task = self._task.options(
            num_returns="streaming", max_retries=0, _generator_backpressure_num_objects=_PARCELS_ON_THE_WAY, **request
        )
        parcels = task.remote(Order(run))
        while run.status is Status.RUNNING:
            if self._closed.is_set() or run.stop_requested:
                ray.cancel(parcels)
                writer.go_back_to_checkpoint()
                if self._closed.is_set():
                    writer.interrupted("The dashboard that trained it was closed.")
                else:
                    writer.stopped()
                return True
            ready, _ = ray.wait([parcels], timeout=_LOOK_SECONDS, fetch_local=False)
            if not ready:
                if run.is_getting_ready and self._cluster.request_of(run.config) != request:
                    ray.cancel(parcels)
                    return False
                continue
            try:
                parcel = ray.get(next(parcels))
            except StopIteration:
                break
            for write in parcel:
                write(writer)
        return True


def main(sweep_id: str | None = None) -> int:
    """Connect to the cluster, say so to the scheduler, and send runs until the scheduler is gone."""
    try:
        sender = Sender(Cluster(os.environ["CNNLAB_RAY_ADDRESS"]), sweep_id)
        os.write(sys.stdin.fileno(), b"connected")  # a socket
        server_is_gone = threading.Event()
        threading.Thread(target=wait_for_end_of_input, args=(server_is_gone,), daemon=True).start()
        sender.run_until(server_is_gone)
    except NoCluster as error:
        print(error, file=sys.stderr)
        return 1
    return 0
