"""Where a gradient comes from: the terms of its sum, and the slope that one finds by trying, in double precision."""

from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnlab.stepping.forward import logits_in
from cnnlab.stepping.stepper import Step

# Small enough that hardly an image's ReLU changes its mind on the way, large enough that the losses differ in digits
# that double precision has.
EPSILON = 1e-7
# Of a loss, in units of its last digit: as many as the sums of a forward pass may cost.
_ROUNDING = 32


@dataclass(frozen=True)
class Terms:
    """The sum that a weight's gradient is: at each place of each image, a number that came in times a slope.

    Attributes
    ----------
    inputs
        What the weight was multiplied with; 1 for a bias. Shape (N, rows, columns) for a convolution, else (N,).
    slopes
        How the batch's loss changes with what the layer gave there; of the same shape.
    """

    inputs: Tensor
    slopes: Tensor

    @cached_property
    def products(self) -> Tensor:
        return self.inputs * self.slopes

    @property
    def gradient(self) -> float:
        """The sum of the products."""
        return self.products.sum().item()

    def largest(self, count: int) -> list[tuple[int, ...]]:
        """Return where the largest products stand, by their size: image, and row and column of the layer's output."""
        order = self.products.abs().ravel().argsort(descending=True)[:count]
        return [tuple(int(each) for each in torch.unravel_index(place, self.products.shape)) for place in order]


def terms_of(step: Step, parameter: str, index: tuple[int, ...]) -> Terms | None:
    """Return the terms of a weight's gradient, as the backward pass of a step sums them.

    Parameters
    ----------
    parameter
        Its name, as in the network's ``named_parameters``.
    index
        The place within it.

    Returns
    -------
    Terms or None
        None where the parameter is no convolution's or linear layer's, or its layer is used several times.
    """
    network = deepcopy(step.before).double()
    owner, _, name = parameter.rpartition(".")
    layer = network.get_submodule(owner)
    if not isinstance(layer, nn.Conv2d | nn.Linear):
        return None
    inputs_seen: list[Tensor] = []
    slopes_seen: list[Tensor] = []

    def note(_: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        inputs_seen.append(given[0].detach())
        output.register_hook(slopes_seen.append)  # of the output itself, also where a ReLU then works in its place

    with layer.register_forward_hook(note):
        loss = F.cross_entropy(logits_in(step, network, step.images.double()), step.labels)
    loss.backward()
    if not len(inputs_seen) == len(slopes_seen) == 1:
        return None
    given, slopes = inputs_seen[0], slopes_seen[0]
    slopes = slopes.select(1 if isinstance(layer, nn.Conv2d) else -1, index[0])
    if name == "bias":
        return Terms(torch.ones_like(slopes), slopes)
    if isinstance(layer, nn.Conv2d):
        return Terms(_seen_by(layer, given, index, slopes.shape), slopes)
    return Terms(given[..., index[1]], slopes)


def _seen_by(layer: nn.Conv2d, given: Tensor, index: tuple[int, ...], shape: torch.Size) -> Tensor:
    """Return what one weight of a filter is multiplied with at each place, shape (N, rows, columns)."""
    filter_, channel, *within = index
    channel += filter_ // (layer.out_channels // layer.groups) * (layer.in_channels // layer.groups)
    padded = F.pad(given, layer._reversed_padding_repeated_twice, layer.padding_mode.replace("zeros", "constant"))
    places = [
        slice(start * apart, start * apart + (count - 1) * stride + 1, stride)
        for start, apart, stride, count in zip(within, layer.dilation, layer.stride, shape[1:], strict=True)
    ]
    return padded[:, channel, places[0], places[1]]


@dataclass(frozen=True)
class FiniteDifference:
    """The slope of the batch's loss along one weight, found by trying.

    Attributes
    ----------
    epsilon
        By how much the weight was made larger and smaller.
    loss_above, loss_below
        The losses there.
    slope
        Their difference over twice `epsilon`.
    error
        How far it may be from the gradient: what the rounding of the losses can do, and how much another slope comes
        out for twice the epsilon.
    """

    epsilon: float
    loss_above: float
    loss_below: float
    slope: float
    error: float


def finite_difference(step: Step, parameter: str, index: tuple[int, ...]) -> FiniteDifference:
    """Return the slope of the loss along a weight at the beginning of a step.

    Parameters
    ----------
    parameter, index
        As `terms_of` takes them.
    """
    images = step.images.double()
    network = deepcopy(step.before).double()

    def loss_with(change: float) -> float:
        with torch.no_grad():
            weights = network.get_parameter(parameter)
            before = weights[index].clone()
            weights[index] += change
            loss = F.cross_entropy(logits_in(step, network, images), step.labels).item()
            weights[index] = before
        return loss

    above, below = loss_with(EPSILON), loss_with(-EPSILON)
    slope = (above - below) / (2 * EPSILON)
    twice = (loss_with(2 * EPSILON) - loss_with(-2 * EPSILON)) / (4 * EPSILON)
    rounding = _ROUNDING * torch.finfo(torch.float64).eps * max(above, below) / EPSILON
    return FiniteDifference(EPSILON, above, below, slope, abs(slope - twice) + rounding)
