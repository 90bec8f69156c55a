"""Carries the weights of one network over into another that computes the same."""

from difflib import SequenceMatcher

from torch import nn

from cnnlab.errors import LabError
from cnnlab.models.layers import Layer, layers_of
from cnnlab.wording import shape_text


class CannotCarryWeights(LabError):
    """The weights of one network have no place in another."""


def carry_weights(source: nn.Module, target: nn.Module) -> dict[str, str]:
    """Load the weights of one network into another, and return the name map by which that was done.

    Raises
    ------
    CannotCarryWeights
        If they have no place there.
    """
    names = name_map(source, target)
    target.load_state_dict({names[name]: tensor for name, tensor in source.state_dict().items()})
    return names


def name_map(source: nn.Module, target: nn.Module) -> dict[str, str]:
    """Find out which tensor of one network is which of another.

    Layers correspond when they come to the same place in the order of computing, among those that hold tensors, and
    are of one kind and of one shape. The names themselves, and the order of declaring, say nothing.

    Returns
    -------
    dict
        Each name in the ``state_dict`` of `source`, and its counterpart in that of `target`.

    Raises
    ------
    CannotCarryWeights
        If a layer of one of them has no counterpart; the message names it.
    """
    from_layers, to_layers = _layers_with_tensors(source), _layers_with_tensors(target)
    matcher = SequenceMatcher(None, [_look(each) for each in from_layers], [_look(each) for each in to_layers], False)
    unmatched = [
        f"{_described(layer)} of {model._get_name()}"
        for tag, begin, end, other_begin, other_end in matcher.get_opcodes()
        if tag != "equal"
        for model, layers in ((source, from_layers[begin:end]), (target, to_layers[other_begin:other_end]))
        for layer in layers
    ]
    if unmatched:
        raise _refusal(source, target, f"no layer of the other corresponds to {', nor to '.join(unmatched)}")
    names = {
        name: other_name
        for layer, other in zip(from_layers, to_layers, strict=True)
        for (name, _), (other_name, _) in zip(layer.tensors, other.tensors, strict=True)
    }
    for model, known in ((source, names.keys()), (target, names.values())):
        if unused := sorted(model.state_dict().keys() - known):
            raise _refusal(source, target, f"{model._get_name()} computes nothing with {', '.join(unused)}")
    return names


def _refusal(source: nn.Module, target: nn.Module, reason: str) -> CannotCarryWeights:
    return CannotCarryWeights(
        f"The weights of {source._get_name()} cannot be carried into {target._get_name()}: {reason}. Both must "
        "have the same layers with weights, in the same order of computing."
    )


def _layers_with_tensors(model: nn.Module) -> list[Layer]:
    return [layer for layer in layers_of(model) if layer.tensors]


def _look(layer: Layer) -> tuple[str, tuple[tuple[str, tuple[int, ...]], ...]]:
    """Return what a layer's counterpart must have too: kind, and the names and shapes of its tensors."""
    return layer.kind, tuple((name.rpartition(".")[2], shape) for name, shape in layer.tensors)


def _described(layer: Layer) -> str:
    kind, tensors = _look(layer)
    return f"{layer.name} ({kind}: {', '.join(f'{name} {shape_text(shape)}' for name, shape in tensors)})"
