"""One run over several processes, started by torchrun: DistributedDataParallel, each process with its part of a batch.

    torchrun --nproc-per-node 2 -m cnnlab train

The first process alone reads and writes the run. It tells the others what to train, and with every step all of them
agree on whether somebody wants the run to stop.
"""

import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]
from torch.nn.parallel import DistributedDataParallel

from cnnlab.runs.record import Record
from cnnlab.runs.run import Run
from cnnlab.training.events import Event
from cnnlab.training.recipe import device_for
from cnnlab.training.state import TrainingState
from cnnlab.workers.work import Assignment, Interrupted, Order, work

_RUN, _MEETING = "run", "meeting"
_MEET_SECONDS = 300.0
# A step takes milliseconds, and the test set a second or two: a process that is silent for so long is gone.
_SILENCE = timedelta(seconds=60)


def is_one_of_several() -> bool:
    """Return whether torchrun has started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


class Processes:
    """The processes that torchrun has started together, of which this is one: a `cnnlab.training.state.Team`.

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
        self._is_asked_to_stop = False
        self._wants_to_stop: Callable[[], bool] = lambda: False
        self._wish_of_all: Tensor | None = None

    @staticmethod
    def threads_of_each() -> int:
        """Return how many threads each process has if they share this machine's cores."""
        return max(1, len(os.sched_getaffinity(0)) // int(os.environ["LOCAL_WORLD_SIZE"]))

    def run_before_restart(self) -> str | None:
        """Return the identifier of the run that these processes trained before torchrun restarted them."""
        store = self._store()
        return store.get(_RUN).decode() if store.check([_RUN]) else None

    @staticmethod
    def _store() -> Store:
        """Return the store that torchrun keeps for as long as it lives itself."""
        store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
        return PrefixStore(f"cnnlab {os.environ['TORCHELASTIC_RUN_ID']}", store)

    def lead(self, run: Run) -> Assignment:
        """Send a run to the other processes, and return this process's order; called in the first process."""
        self._store().set(_RUN, run.id)
        self._wants_to_stop = lambda: self._is_asked_to_stop or run.stop_requested
        order = Order(run)
        self._share(order)
        return self._joint(order)

    def ask_to_stop(self) -> None:
        """Have all processes stop after the step at hand; for the first process.

        Nothing outlives it: torchrun sends those that it restarts the same signal as a person who ends them.
        """
        self._is_asked_to_stop = True

    def dismiss(self) -> None:
        """Tell the other processes that nothing is left to train; for the first process."""
        self._share(None)
        self.part()

    @staticmethod
    def part() -> None:
        """Leave the others, when nothing is left to train: a process that exits without this is sometimes aborted."""
        dist.destroy_process_group()

    def follow(self) -> None:
        """Train the first process's run; called in the others. Only the first records the results."""
        order = self._share(None)
        if order is not None:
            # From now on, who ends them all means the first process, which has the others end with it.
            for sent in (signal.SIGINT, signal.SIGTERM):
                signal.signal(sent, signal.SIG_IGN)
            for _ in work(self._joint(order), _Untold(), team=self):
                pass
        self.part()

    def _share(self, order: Order | None) -> Order | None:
        """Return the first process's order, in all of them."""
        orders = [order]
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        try:
            store = self._meet()
            dist.init_process_group(backend, store=store, rank=self._rank, world_size=self.size, timeout=_SILENCE)
            dist.broadcast_object_list(orders)
        except RuntimeError as error:
            raise Interrupted(f"The {self.size} processes could not find each other ({error}).") from error
        return orders[0]

    def _meet(self) -> Store:
        """Return a store for the processes that are here now.

        That of torchrun keeps what those before a restart have written into it, and torchrun counts restarts on each
        machine for itself. So the first process names the meeting, each other one says that it has come, and believes
        the name once the first process has seen it.
        """
        store, own_name = self._store(), uuid4().hex
        if self.is_first:
            store.set(_MEETING, own_name)
            come = [store.get(f"{own_name} {rank}").decode() for rank in range(1, self.size)]
            store.set(f"{own_name} all", " ".join(come))
            return PrefixStore(own_name, store)
        deadline = time.monotonic() + _MEET_SECONDS
        while time.monotonic() < deadline:
            meeting = store.get(_MEETING).decode()
            store.set(f"{meeting} {self._rank}", own_name)
            if store.check([f"{meeting} all"]) and own_name in store.get(f"{meeting} all").decode():
                return PrefixStore(meeting, store)
            time.sleep(0.02)
        raise RuntimeError("the first one has not come")

    def _joint(self, order: Order) -> Assignment:
        if device_for(order.config).type == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        return _JointOrder(order, self)

    def joined(self, network: nn.Module) -> nn.Module:
        """Return the same network, whose gradients become the mean of all processes' in ``backward``."""
        return DistributedDataParallel(network)

    def part_of(self, batch: Tensor) -> Tensor:
        """Return this process's part of a batch; the parts of all make it up."""
        return batch.tensor_split(self.size)[self._rank]

    def sum_of(self, number: Tensor) -> Tensor:
        """Return the sum of all processes' numbers, shape (), and share whether the run should stop."""
        sums = torch.stack([number, number.new_tensor(float(self._wants_to_stop()))])
        dist.all_reduce(sums)
        self._wish_of_all = sums[1]
        return sums[0]

    @property
    def agree_to_stop(self) -> bool:
        """Whether the run should stop after the last step; the same in all processes."""
        return self._wish_of_all is not None and bool(self._wish_of_all)

    def has_lost_one(self, error: Exception) -> bool:
        """Return whether an error says that another process is gone."""
        return isinstance(error, dist.DistError) or "gloo" in str(error)


class _JointOrder:
    """An order whose training stops after the same step in all processes."""

    def __init__(self, order: Order, processes: Processes) -> None:
        self.identity = order.identity
        self.model = order.model
        self.source = order.source
        self.config = order.config
        self.load_start = order.load_start
        self.load_checkpoint = order.load_checkpoint
        self.learning_rates = order.learning_rates
        self.wished_learning_rate = order.wished_learning_rate
        self.takes_wishes = order.takes_wishes
        self.snapshots = order.snapshots
        self._processes = processes

    @property
    def stop_requested(self) -> bool:
        return self._processes.agree_to_stop


class _Untold(Record):
    """Discards everything, in the processes that do not own the run."""

    def append(self, event: str, **fields: Any) -> None: ...
    def append_training(self, event: Event) -> None: ...
    def save(self, state: TrainingState, *, weights: bool) -> None: ...
    def save_weights(self, weights: dict[str, Tensor], step: int | None = None) -> None: ...
    def save_snapshot(self, weights: dict[str, Tensor], step: int) -> None: ...
    def drop_snapshots_after(self, step: int) -> None: ...
