"""A whole training step as one call of a team: forward, loss, backward, and the optimizer's update."""

from typing import Any, Self

import torch
from torch import Tensor, fx, nn

from cnnlab.fused.block import Batch, FusedBlock, compiled
from cnnlab.fused.head import FusedHead, HeadCall, head_kernel
from cnnlab.fused.optimizer import FusedUpdate
from cnnlab.fused.team import TeamWork


class WholeStep:
    """The steps of a network that is blocks and a head, with nothing else between them.

    Each thread takes its slice of a batch through all kernels, forward and back, and whoever is last adds the gradients
    up and updates the weights: the threads meet once a step, and PyTorch's autograd has nothing to do.

    Parameters
    ----------
    blocks, head
        The network's parts, in order.
    parameter
        All the numbers that are trained; the parts' parameters are views of it.
    update
        The optimizer's.
    image_side
        Height and width of an image, which has one channel.
    most
        How many images a batch may have.
    threads
        That work on it.

    Raises
    ------
    CannotFuse
        If a kernel cannot be compiled.
    """

    def __init__(
        self,
        blocks: list[FusedBlock],
        head: FusedHead,
        parameter: nn.Parameter,
        update: FusedUpdate,
        image_side: tuple[int, int],
        most: int,
        threads: int,
    ) -> None:
        self._parameter, self._update = parameter, update
        self._most, self._image_shape = most, (1, *image_side)
        self._shares = torch.zeros(threads, parameter.numel())
        self._room: list[Tensor] = []
        self._head = HeadCall(head.layer_parameters, head.activations, most, threads)
        self._batches: list[Batch] = []
        stages: list[Any] = [(head_kernel().train, self._head.call)]
        height, width = image_side
        values = gradient = None
        for block in blocks:
            convolution: Any = block.convolution
            sizes = block.sizes_for(height, width)
            pooled, pooled_gradient = (self._new_room(most * sizes.numbers, torch.float32) for _ in range(2))
            batch = Batch(
                images=values,
                weight=convolution.weight.data_ptr(),
                bias=convolution.bias.data_ptr(),
                pooled=pooled,
                winners=self._new_room(most * sizes.numbers, torch.int32),
                pooled_gradient=pooled_gradient,
                weight_gradient=self._share_of(convolution.weight),
                bias_gradient=self._share_of(convolution.bias),
                images_gradient=gradient,
                gradient_stride=parameter.numel(),
                outputs_first=block is blocks[-1],
                slices=threads,
            )
            middle = len(self._batches)
            stages.insert(middle, (compiled(sizes).forward, batch))
            stages.insert(middle + 2, (compiled(sizes).backward, batch))
            self._batches.append(batch)
            values, gradient, (height, width) = pooled, pooled_gradient, sizes.pooled
        self._head.call.inputs, self._head.call.inputs_gradient = values, gradient
        places = [None if each is None else self._share_of(each) for each in head.layer_parameters]
        self._head.put_gradients(places, parameter.numel())
        update.call.shares, update.call.slices = self._shares.data_ptr(), threads
        self._work = TeamWork(stages, threads, at_the_end=(update.function, update.call))

    @classmethod
    def of(
        cls,
        network: nn.Module,
        parameters: list[nn.Parameter],
        update: FusedUpdate,
        image_shape: tuple[int, int, int],
        most: int,
        threads: int,
    ) -> Self | None:
        """Return the steps of a network that `cnnlab.fused.rewrite.fuse` has returned, if it is such parts alone."""
        parts = _parts_of(network)
        if parts is None or len(parameters) != 1 or image_shape[0] != 1:
            return None
        used = [each for part in parts for each in part.layer_parameters if each is not None]
        # A part writes its gradient where another use of the same numbers would have to add to it.
        if len({id(each) for each in used}) < len(used) or not all(each.requires_grad for each in used):
            return None
        *blocks, head = parts
        return cls(blocks, head, parameters[0], update, image_shape[1:], most, threads)  # type: ignore[arg-type]

    def take(self, images: Tensor, labels: Tensor) -> Tensor | None:
        """Take one optimizer step, and return the loss before it, shape (); None if PyTorch has to take it.

        The loss is NaN if the network has no logit for a label.

        Parameters
        ----------
        images
            Shape (N, 1, height, width), float32.
        labels
            Shape (N,), int64.
        """
        fits = len(labels) <= self._most and images.shape[1:] == self._image_shape
        if not fits or (images.dtype, labels.dtype) != (torch.float32, torch.int64) or not self._update.get_ready():
            return None
        images, labels, head = images.contiguous(), labels.contiguous(), self._head
        head.call.labels, head.call.count = labels.data_ptr(), len(labels)
        for batch in self._batches:
            batch.count = len(labels)
        if self._batches:
            self._batches[0].images = images.data_ptr()
        else:
            head.call.inputs = images.data_ptr()
        self._work.do()
        return (head.losses.sum() / len(labels)).float()

    def _new_room(self, numbers: int, dtype: torch.dtype) -> int:
        """Return the address of room for some numbers."""
        self._room.append(torch.empty(numbers, dtype=dtype))
        return self._room[-1].data_ptr()

    def _share_of(self, parameters: Tensor) -> int:
        """Return the address of some parameters' gradients of the first slice."""
        return self._shares.data_ptr() + parameters.data_ptr() - self._parameter.data_ptr()


def _parts_of(network: nn.Module) -> list[FusedBlock | FusedHead] | None:
    """Return a network's blocks and its head, if it is blocks, a flattening, and a head, one behind the other."""
    if not isinstance(network, fx.GraphModule):
        return None
    parts: list[Any] = []
    images, *nodes, output = network.graph.nodes
    before, flattened = images, 0
    for node in nodes:
        if node.all_input_nodes != [before]:
            return None
        module = network.get_submodule(str(node.target)) if node.op == "call_module" else None
        if _flattens(node, module):
            flattened += 1
        elif isinstance(module, FusedHead if flattened else FusedBlock):
            parts.append(module)
        else:
            return None
        before = node
    heads = [part for part in parts if isinstance(part, FusedHead)]  # it stands last: no block follows the flattening
    return parts if flattened == len(heads) == 1 and output.all_input_nodes == [before] else None


def _flattens(node: fx.Node, module: nn.Module | None) -> bool:
    """Return whether a node makes a row of numbers of each image."""
    if isinstance(module, nn.Flatten):
        return (module.start_dim, module.end_dim) == (1, -1)
    dims = {"start_dim": 0, "end_dim": -1} | dict(zip(("start_dim", "end_dim"), node.args[1:], strict=False))
    return (
        node.op != "call_module"
        and node.target in (torch.flatten, "flatten")
        and dims | node.kwargs == {"start_dim": 1, "end_dim": -1}
    )
