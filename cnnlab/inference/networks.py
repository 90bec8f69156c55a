"""From a run to its network with trained weights; networks stay in memory."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock
from typing import Literal

from safetensors.torch import load
from torch import Tensor, nn

from cnnlab.errors import LabError
from cnnlab.fine_tuning.start import Start
from cnnlab.models.definitions import Definition, UnknownDefinition
from cnnlab.runs.run import Run
from cnnlab.runs.snapshots import read_snapshot

_MOST_NETWORKS = 64  # of 120 kB each

_networks: OrderedDict[tuple[str, str], nn.Module] = OrderedDict()
_lock = Lock()


# The step after which the weights are, of which there is a snapshot; or the newest weights, with which an epoch ended;
# or those of now, which while a run trains are its checkpoint's; or those that a fine-tuned run began with.
Moment = int | Literal["newest", "now", "start"]


class NoPredictions(LabError):
    """A run has no weights that can be used."""


@dataclass(frozen=True)
class Network:
    """A run's network with the weights of a moment.

    Attributes
    ----------
    module
        In evaluation mode, on the CPU.
    fingerprint
        The SHA-256 sum of the file that they were read from.
    """

    module: nn.Module
    fingerprint: str


def newest_network_of(run: Run) -> Network:
    """Return a run's network with its newest weights, from the cache if it was used lately.

    Raises
    ------
    NoPredictions
        If the run has no weights yet, or its network is not registered any more or is another one now.
    """
    weights = newest_weights_of(run)
    return _network_of(run, weights, lambda: load(weights))


def network_after(run: Run, step: int) -> Network:
    """Return a run's network as it was after a step, of which it has a snapshot.

    Raises
    ------
    NoPredictions
        If its network is not registered any more or is another one now.
    UnreadableRun
        If the snapshot cannot be read.
    """
    weights = read_snapshot(run, step)
    return _network_of(run, weights, lambda: load(weights))


def network_at(run: Run, moment: Moment) -> Network:
    """Return a run's network at a moment of its training.

    Raises
    ------
    NoPredictions, UnreadableRun
        As `newest_network_of`, `network_now`, `network_at_start` and `network_after` do.
    """
    match moment:
        case "newest":
            return newest_network_of(run)
        case "now":
            return network_now(run)
        case "start":
            return network_at_start(run)
        case step:
            return network_after(run, step)


def network_now(run: Run) -> Network:
    """Return a run's network as it is now: of one that trains, also between two epochs.

    Raises
    ------
    NoPredictions
        As `newest_network_of` does, but once it trains it has weights.
    """
    checkpoint = run.read_checkpoint() if run.status.is_active else None
    if checkpoint is None:
        return newest_network_of(run)
    return _network_of(run, checkpoint, lambda: run.weights_in(checkpoint))


def network_at_start(run: Run) -> Network:
    """Return the network that a fine-tuned run began as.

    Raises
    ------
    NoPredictions
        If it began with random weights, or its network is not registered any more or is another one now.
    UnreadableRun
        If what it began with cannot be read.
    """
    if (content := run.read_start()) is None:
        raise NoPredictions(f"{run.name} began with random weights.")
    return _network_of(run, content, lambda: Start.from_bytes(content).weights)


def _network_of(run: Run, content: bytes, weights: Callable[[], dict[str, Tensor]]) -> Network:
    """Return a run's network with the weights that a file's content holds."""
    try:
        definition = run.definition
    except UnknownDefinition as error:
        raise _does_not_fit(run) from error
    fingerprint = fingerprint_of(content)
    key = (run.source, fingerprint)
    with _lock:
        module = _networks.pop(key, None) or _network_with(run, weights(), definition)
        _networks[key] = module
        if len(_networks) > _MOST_NETWORKS:
            _networks.popitem(last=False)
    return Network(module, fingerprint)


def newest_weights_of(run: Run) -> bytes:
    """Return the file of a run's newest weights.

    Raises
    ------
    NoPredictions
        If the run has none yet.
    DamagedRun
        If it cannot be read.
    """
    weights = run.read_weights()
    if weights is None:
        raise NoPredictions(f"{run.name} has no weights yet: they come with its first epoch.")
    return weights


def fingerprint_of(weights: bytes) -> str:
    """Return the SHA-256 sum of a file of weights, in hexadecimal digits."""
    return sha256(weights).hexdigest()


def _network_with(run: Run, weights: dict[str, Tensor], definition: Definition) -> nn.Module:
    module = definition.build(seed=0)
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise _does_not_fit(run) from error
    return module.eval()


def _does_not_fit(run: Run) -> NoPredictions:
    return NoPredictions(
        f"The weights of {run.name} do not fit cnnlab/models/definitions.py, which has no {run.title}, or has "
        "changed it. Put its source back (the run's training script has it), or delete the run."
    )
