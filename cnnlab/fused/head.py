"""The linear layers at the end of a network, with their activations, as a module that PyTorch can train."""

import ctypes
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from cnnlab.fused.compiler import CannotFuse, address_of, kernel_of
from cnnlab.fused.team import run_in_team

SOURCE = Path(__file__).with_name("head.c")
ACTIVATIONS = ("none", "relu", "leaky_relu", "tanh", "sigmoid")  # as head.c counts them


class Layer(ctypes.Structure):
    """The ``Layer`` of head.c, which is compiled only if it has the same size."""

    _fields_ = (
        *(
            (name, ctypes.c_void_p)
            for name in ("weight", "bias", "values", "gradient", "weight_gradient", "bias_gradient")
        ),
        *((name, ctypes.c_int32) for name in ("inputs", "outputs", "activation")),
        ("slope", ctypes.c_float),
    )


class Head(ctypes.Structure):
    """What the kernel is called with: the ``Head`` of head.c, which is compiled only if it has the same size."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("layers", "inputs", "inputs_gradient", "labels", "losses")),
        ("gradient_stride", ctypes.c_int64),
        *((name, ctypes.c_int32) for name in ("layer_count", "count", "slices")),
    )


class Activation(NamedTuple):
    """What follows a linear layer: one of `ACTIVATIONS`, and a leaky ReLU's slope below 0."""

    name: str = "none"
    slope: float = 0.0


def head_kernel() -> ctypes.CDLL:
    """Return the kernel, compiled now or earlier.

    Raises
    ------
    CannotFuse
        If it cannot be.
    """
    return kernel_of(SOURCE, Head, LAYER_BYTES=ctypes.sizeof(Layer))


class FusedHead(nn.Module):
    """Linear layers of a model, one behind the other, with what activates them: (N, inputs) to (N, outputs).

    Parameters
    ----------
    linears
        Their weights and biases are used and trained where they are.
    activations
        What follows each of them.
    threads
        That work on a batch.
    """

    def __init__(self, linears: list[nn.Module], activations: list[Activation], threads: int) -> None:
        super().__init__()
        self.linears = nn.ModuleList(linears)
        self.activations = activations
        self.threads = threads

    @property
    def layer_parameters(self) -> list[Tensor | None]:
        """The weight and the bias, or None, of each layer."""
        return [parameter for linear in self.linears for parameter in (linear.weight, linear.bias)]  # type: ignore[misc]

    def forward(self, inputs: Tensor) -> Tensor:
        first: Any = self.linears[0]
        wanted = first.in_features
        if inputs.ndim != 2 or inputs.dtype != torch.float32 or inputs.shape[1] != wanted:
            raise CannotFuse(
                f"linear layers that take {wanted:,} numbers of float32 are given {inputs.dtype} of shape "
                f"{tuple(inputs.shape)}"
            )
        return _Head.apply(inputs, self.activations, self.threads, *self.layer_parameters)


class HeadCall:
    """A call of the kernel, with room for what the layers give and for its gradients.

    Parameters
    ----------
    parameters
        The weight and the bias, or None, of each layer.
    activations
        What follows each of them.
    most
        How many images a batch may have.
    threads
        That work on it.
    """

    def __init__(self, parameters: list[Tensor | None], activations: list[Activation], most: int, threads: int) -> None:
        self.parameters = [each if each is None else each.contiguous() for each in parameters]
        weights, biases = self.parameters[::2], self.parameters[1::2]
        widths = [len(weight) for weight in weights if weight is not None]
        self.values, self.gradients = ([torch.empty(most, width) for width in widths] for _ in range(2))
        self.losses = torch.zeros(threads, dtype=torch.float64)
        self.layers = (Layer * len(widths))()
        rows = zip(self.layers, weights, biases, self.values, self.gradients, activations, strict=True)
        for layer, weight, bias, values, gradient, activation in rows:
            assert weight is not None
            layer.weight, layer.bias = weight.data_ptr(), address_of(bias)
            layer.values, layer.gradient = values.data_ptr(), gradient.data_ptr()
            layer.outputs, layer.inputs = weight.shape
            layer.activation, layer.slope = ACTIVATIONS.index(activation.name), activation.slope
        self.call = Head(
            layers=ctypes.addressof(self.layers),
            losses=self.losses.data_ptr(),
            layer_count=len(widths),
            slices=threads,
        )

    def put_gradients(self, places: list[int | None], stride: int) -> None:
        """Say where the gradient of each parameter goes, by the address of the first slice's, and the next slice's."""
        for layer, of_weight, of_bias in zip(self.layers, places[::2], places[1::2], strict=True):
            layer.weight_gradient, layer.bias_gradient = of_weight, of_bias
        self.call.gradient_stride = stride


class _Head(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, activations: list[Activation], threads: int, *parameters: Tensor | None
    ) -> Tensor:
        inputs = inputs.contiguous()
        head = HeadCall([*parameters], activations, len(inputs), threads)
        head.call.inputs, head.call.count = inputs.data_ptr(), len(inputs)
        run_in_team([(head_kernel().forward, head.call)], threads)
        ctx.head, ctx.inputs, ctx.threads = head, inputs, threads
        # Not the tensor itself: it will know of this context, which knows of the tensor, and neither would be let go.
        return head.values[-1].detach()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, logits_gradient: Tensor) -> tuple[Tensor | None, ...]:
        head: HeadCall = ctx.head
        head.gradients[-1].copy_(logits_gradient)
        sizes = [0 if each is None else each.numel() for each in head.parameters]
        shares = torch.empty(ctx.threads, sum(sizes))
        parts = [part.data_ptr() for part in shares.split(sizes, dim=1)]
        head.put_gradients([*parts], shares.shape[1])
        inputs_gradient = torch.empty_like(ctx.inputs) if ctx.needs_input_grad[0] else None
        head.call.inputs_gradient = address_of(inputs_gradient)
        run_in_team([(head_kernel().backward, head.call)], ctx.threads)
        gradients = shares.sum(0).split(sizes)
        pairs = zip(gradients, head.parameters, strict=True)
        return inputs_gradient, None, None, *(of if of is None else each.view(of.shape) for each, of in pairs)
