"""What the tests of the lab's kernels hold against PyTorch's layers."""

import torch


def gradients(network, images, target):
    """Return the answer, and the gradients of a loss by the images and by all parameters."""
    images = images.clone().requires_grad_()
    answer = network(images)
    loss = (answer * target[: answer.numel()].view(answer.shape)).sum()
    return answer, torch.autograd.grad(loss, [images, *network.parameters()])


def assert_alike(found, expected):
    """Check that two answers with their gradients are the same but for rounding."""
    (answer, found_gradients), (wanted_answer, wanted_gradients) = found, expected
    for each, wanted in zip([answer, *found_gradients], [wanted_answer, *wanted_gradients], strict=True):
        assert (each - wanted).abs().max() <= 1e-5 * max(1.0, wanted.abs().max())
