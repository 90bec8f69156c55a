"""What a network sees in an image: filters, feature maps, attributions."""

import torch
from torch import Tensor, nn

from cnnlab.models.layers import CONVOLUTION, Layer, follow, layers_of


def filters_of(model: nn.Module) -> dict[str, Tensor]:
    """Return the filters of each convolution, in the order in which the network computes them.

    Returns
    -------
    dict
        Name of the layer, and its weights: shape (filters, channels that each one looks at, height, width).

    Raises
    ------
    CannotTrace
        As `layers_of`.
    """
    state = model.state_dict()
    return {
        layer.name: next(state[name] for name, shape in layer.tensors if len(shape) == 4)
        for layer in layers_of(model)
        if layer.kind == CONVOLUTION
    }


def feature_maps(model: nn.Module, image: Tensor) -> dict[str, Tensor]:
    """Return what each convolution finds in an image, after its ReLU, or whatever follows it pixel by pixel.

    Parameters
    ----------
    model
        Left in the mode (training or evaluation) it is in.
    image
        Shape (1, 28, 28), from 0 to 1.

    Returns
    -------
    dict
        Name of the layer, and its maps: shape (filters, height, width).

    Raises
    ------
    CannotTrace
        As `layers_of`.
    """
    followed = follow(model, image)
    users: dict[str, list[Layer]] = {}
    for layer, _ in followed:
        for source in layer.inputs:
            users.setdefault(source, []).append(layer)
    values = {layer.name: value for layer, value in followed}
    maps = {}
    for layer, _ in followed:
        if layer.kind == CONVOLUTION:
            end = layer.name
            while len(after := users.get(end, [])) == 1 and after[0].kind in _PIXEL_BY_PIXEL:
                end = after[0].name
            maps[layer.name] = values[end][0]
    return maps


def attribution(model: nn.Module, image: Tensor, digit: int, rather_than: int | None = None) -> Tensor:
    """Return which pixels spoke for a digit, and which against it: the integrated gradients of its logit.

    They begin at a black image, so that only ink can speak, and sum to what the image adds to the digit's logit over
    the black one, but for the error of an integral in `_INTEGRATION_STEPS` steps.

    Parameters
    ----------
    model
        Left in the mode (training or evaluation) it is in.
    image
        Shape (1, 28, 28), from 0 to 1.
    rather_than
        Another digit: asked is then which pixels spoke for the one rather than the other, by the difference of their
        logits.

    Returns
    -------
    Tensor
        Shape (28, 28): above 0 where a pixel raised the logit, below 0 where it lowered it.

    References
    ----------
    M. Sundararajan, A. Taly, Q. Yan, Axiomatic attribution for deep networks (arXiv:1703.01365).
    """
    was_training = model.training
    model.eval()
    gradients = torch.zeros_like(image)
    for shares in ((torch.arange(_INTEGRATION_STEPS) + 0.5) / _INTEGRATION_STEPS).split(_STEPS_AT_ONCE):
        on_the_way = (shares.view(-1, 1, 1, 1) * image).requires_grad_()
        logits = model(on_the_way)
        asked = logits[:, digit] if rather_than is None else logits[:, digit] - logits[:, rather_than]
        gradients += torch.autograd.grad(asked.sum(), on_the_way)[0].sum(dim=0)
    model.train(was_training)
    return (image * gradients / _INTEGRATION_STEPS)[0].detach()


# Along the way from black to the image the gradient jumps where a ReLU begins to pass. So many steps, each taken at its
# middle, leave an error of 0.07 logits on average.
_INTEGRATION_STEPS = 256
_STEPS_AT_ONCE = 32  # all of them in one batch would take 100 MB
# What a convolution's maps go through on their own, each pixel staying where it is.
_PIXEL_BY_PIXEL = {*nn.modules.activation.__all__, "BatchNorm2d", "Dropout", "Dropout2d"}
