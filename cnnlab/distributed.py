"""One run over several processes, started by torchrun: DistributedDataParallel, each process with its part of a batch.

    torchrun --nproc-per-node 2 -m cnnlab train

The first process alone reads and writes the run. It tells the others what to train, and with every step all of them
agree on whether somebody wants the run to stop.
"""

import os
import signal
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]
from torch.nn.parallel import DistributedDataParallel

from cnnlab.runs import Run
from cnnlab.training import Event, TrainingState, device_for
from cnnlab.worker import Assignment, Interrupted, Order, work

_RUN_KEY = "cnnlab run"


def is_one_of_several() -> bool:
    """Return whether torchrun has started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


class Processes:
    """The processes that torchrun has started together, of which this is one: a `cnnlab.training.Team`.

    Attributes
    ----------
    size
        How many they are.
    is_first
        Whether this is the one that has the run.
    """

    def __init__(self) -> None:
        self.size = int(os.environ["WORLD_SIZE"])
        self.is_first = os.environ["RANK"] == "0"
        self._rank = int(os.environ["RANK"])
        self._wants_to_stop: Callable[[], bool] = lambda: False
        self._wish_of_all: Tensor | None = None

    @staticmethod
    def threads_of_each() -> int:
        """Return how many threads each process has if they share this machine's cores."""
        return max(1, len(os.sched_getaffinity(0)) // int(os.environ["LOCAL_WORLD_SIZE"]))

    def run_before_restart(self) -> str | None:
        """Return the identifier of the run that these processes trained before torchrun has started them anew."""
        if int(os.environ["TORCHELASTIC_RESTART_COUNT"]) == 0:
            return None
        store = self._store()
        return store.get(_RUN_KEY).decode() if store.check([_RUN_KEY]) else None

    @staticmethod
    def _store() -> TCPStore:
        """Return the store that torchrun keeps for as long as it lives itself."""
        return TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)

    def lead(self, run: Run) -> Assignment:
        """Tell the other processes of a run, and return what this one is to train; for the first process."""
        self._store().set(_RUN_KEY, run.id)
        self._wants_to_stop = lambda: run.stop_requested
        return self._joint(Order(run))

    def follow(self) -> None:
        """Train the run that the first process has; for the others. That one alone tells how it went."""
        order = self._joint(None)
        # From now on, who ends them all means the first process, which has the others end with it.
        for sent in (signal.SIGINT, signal.SIGTERM):
            signal.signal(sent, signal.SIG_IGN)
        for _ in work(order, _Untold(), team=self):
            pass

    def _joint(self, order: Order | None) -> Assignment:
        orders: list[Any] = [order]
        # The store still knows the addresses of the processes before the restart.
        restarts = os.environ["TORCHELASTIC_RESTART_COUNT"]
        store = PrefixStore(f"cnnlab processes, {restarts} restarts", self._store())
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        try:
            dist.init_process_group(backend, store=store, rank=self._rank, world_size=self.size)
            dist.broadcast_object_list(orders)
        except RuntimeError as error:
            raise Interrupted(f"The {self.size} processes could not find each other ({error}).") from error
        joint: _JointOrder = _JointOrder(orders[0], self)
        if device_for(joint.config).type == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        return joint

    def joined(self, network: nn.Module) -> nn.Module:
        """Return the same network, whose gradients become the mean of all processes' in ``backward``."""
        return DistributedDataParallel(network)

    def part_of(self, batch: Tensor) -> Tensor:
        """Return this process's part of a batch; the parts of all make it up."""
        return batch.tensor_split(self.size)[self._rank]

    def sum_of(self, number: Tensor) -> Tensor:
        """Return the sum of all processes' numbers, shape (), and ask them whether the run shall stop."""
        sums = torch.stack([number, number.new_tensor(float(self._wants_to_stop()))])
        dist.all_reduce(sums)
        self._wish_of_all = sums[1]
        return sums[0]

    @property
    def agree_to_stop(self) -> bool:
        """Whether the run shall stop after the last step; the same in all processes."""
        return self._wish_of_all is not None and bool(self._wish_of_all)

    def has_lost_one(self, error: Exception) -> bool:
        """Return whether an error says that another process is gone."""
        return isinstance(error, dist.DistError) or "gloo" in str(error)


class _JointOrder:
    """An order that all processes stop after the same step."""

    def __init__(self, order: Order, processes: Processes) -> None:
        self.model = order.model
        self.config = order.config
        self.load_checkpoint = order.load_checkpoint
        self._processes = processes

    @property
    def stop_requested(self) -> bool:
        return self._processes.agree_to_stop


class _Untold:
    """What comes of a run in the processes that do not write it: nothing."""

    def append(self, event: str, **fields: Any) -> None: ...
    def append_training(self, event: Event) -> None: ...
    def save(self, state: TrainingState, *, weights: bool) -> None: ...
    def save_weights(self, weights: dict[str, Tensor]) -> None: ...
