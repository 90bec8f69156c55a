import gc
import math
import weakref
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from gradients import assert_alike, gradients
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cnnlab.fused.compiler import CannotFuse
from cnnlab.fused.head import Activation, FusedHead

MODULES = {
    "none": nn.Identity,
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.1),
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


def head_and_layers(widths, names, threads, bias=True):
    """Return a head, and PyTorch's layers with the same parameters."""
    linears = [nn.Linear(*pair, bias=bias) for pair in pairwise(widths)]
    activations = [Activation(name, 0.1 if name == "leaky_relu" else 0.0) for name in names]
    parts = [part for linear, name in zip(linears, names, strict=True) for part in (linear, MODULES[name]())]
    return FusedHead(linears, activations, threads), nn.Sequential(*parts)


@settings(max_examples=40)
@given(
    widths=st.lists(st.integers(1, 50), min_size=2, max_size=5),
    names=st.lists(st.sampled_from(list(MODULES)), min_size=4, max_size=4),
    count=st.integers(1, 20),
    threads=st.integers(1, 3),
    bias=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_answers_and_gradients_are_pytorchs_for_random_widths_and_weights(widths, names, count, threads, bias, seed):
    torch.manual_seed(seed)
    head, layers = head_and_layers(widths, names[: len(widths) - 1], threads, bias)
    inputs, target = torch.randn(count, widths[0]), torch.randn(count * widths[-1])
    assert_alike(gradients(head, inputs, target), gradients(layers, inputs, target))


@pytest.mark.parametrize("name", MODULES)
def test_large_numbers_and_those_that_are_none_come_out_as_in_pytorch(name):
    head, layers = head_and_layers([1, 1], [name], threads=1)
    with torch.no_grad():
        layers[0].weight.fill_(1)
        layers[0].bias.fill_(0)
    inputs = torch.tensor([[0.0], [-0.0], [50.0], [-50.0], [1e30], [-1e30], [math.inf], [-math.inf], [math.nan]])
    assert torch.allclose(head(inputs), layers(inputs), equal_nan=True)


def test_tanh_keeps_its_digits_near_zero():
    head, layers = head_and_layers([1, 1], ["tanh"], threads=1)
    with torch.no_grad():
        layers[0].weight.fill_(1)
        layers[0].bias.fill_(0)
    inputs = torch.logspace(-8, 1.5, 500).outer(torch.tensor([1.0, -1.0])).view(-1, 1)
    assert torch.allclose(head(inputs), layers(inputs), rtol=1e-6, atol=0)


def test_what_a_step_needed_is_let_go_with_it():
    head, _ = head_and_layers([5, 2], ["relu"], threads=1)
    gc.disable()
    try:
        logits = head(torch.rand(3, 5))
        context = weakref.ref(logits.grad_fn)
        logits.sum().backward()
        del logits
        assert context() is None
    finally:
        gc.enable()


def test_numbers_that_do_not_fit_are_refused():
    head, _ = head_and_layers([5, 2], ["none"], threads=1)
    with pytest.raises(CannotFuse, match=r"take 5 numbers of float32 are given torch.float32 of shape \(3, 4\)"):
        head(torch.rand(3, 4))
    for unfit in (torch.rand(3, 5, dtype=torch.float64), torch.rand(1, 5, 3)):
        with pytest.raises(CannotFuse):
            head(unfit)


def test_the_same_threads_give_the_same_bits():
    head, _ = head_and_layers([400, 64, 32, 10], ["relu", "relu", "none"], threads=2)
    inputs, labels = torch.rand(128, 400), torch.randint(10, (128,))

    def gradients_once():
        return torch.autograd.grad(F.cross_entropy(head(inputs), labels), [*head.parameters()])

    assert all(map(torch.equal, gradients_once(), gradients_once()))
