import ctypes
import hashlib
import math
import subprocess
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cnnlab.fused import block, compiler
from cnnlab.fused.block import FusedBlock
from cnnlab.fused.compiler import CannotFuse
from cnnlab.fused.rewrite import count_blocks, fuse
from cnnlab.models.definitions import DEFINITIONS


def blocks_of(network):
    return [module for module in network.modules() if isinstance(module, FusedBlock)]


def layers(inputs, outputs):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3), nn.ReLU(), nn.MaxPool2d(2))


def gradients(network, images, target):
    """Return the answer, and the gradients of a loss by the images and by all parameters."""
    images = images.clone().requires_grad_()
    answer = network(images)
    loss = (answer * target[: answer.numel()].view(answer.shape)).sum()
    return answer, torch.autograd.grad(loss, [images, *network.parameters()])


@settings(max_examples=25)
@given(
    inputs=st.integers(1, 9),
    outputs=st.integers(1, 18),
    height=st.integers(4, 16),
    width=st.integers(4, 16),
    count=st.integers(1, 9),
    threads=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_answers_and_gradients_are_pytorchs_for_random_shapes_and_weights(
    inputs, outputs, height, width, count, threads, seed
):
    torch.manual_seed(seed)
    model = layers(inputs, outputs)
    images, target = torch.randn(count, inputs, height, width), torch.randn(count * outputs * 49)
    expected, expected_gradients = gradients(model, images, target)
    answer, found_gradients = gradients(fuse(model, (inputs, height, width), threads), images, target)
    assert torch.allclose(answer, expected, rtol=1e-5, atol=1e-5)
    for found, wanted in zip(found_gradients, expected_gradients, strict=True):
        assert (found - wanted).abs().max() <= 1e-5 * max(1.0, wanted.abs().max())


def test_of_equal_sums_the_first_wins_as_in_pytorch():
    model = layers(1, 4)
    with torch.no_grad():
        model[0].weight.fill_(0.5)
        model[0].bias.copy_(torch.tensor([1.0, 0.0, -4.5, -5.0]))  # all windows full of ties; with 0, and stopped
    images, target = torch.ones(2, 1, 8, 8), torch.randint(1, 9, (2 * 4 * 9,)).float()
    _, expected = gradients(model, images, target)
    _, found = gradients(fuse(model, (1, 8, 8), threads=2), images, target)
    for each, wanted in zip(found, expected, strict=True):
        assert torch.equal(each, wanted)


@pytest.mark.parametrize("position", range(4))
def test_a_sum_that_is_not_a_number_is_not_hidden(position):
    model = layers(1, 1)
    images = torch.ones(1, 1, 4, 4)
    images[0, 0, position // 2 * 3, position % 2 * 3] = math.nan  # in the patch of one of the four alone
    assert fuse(model, (1, 4, 4), threads=2)(images).isnan().all()


@pytest.mark.parametrize("name", DEFINITIONS)
def test_both_blocks_of_every_definition_are_found_and_its_parameters_shared(name):
    model = DEFINITIONS[name].build(0)
    network = fuse(model, (1, 28, 28), threads=2)
    assert len(blocks_of(network)) == 2
    assert {id(parameter) for parameter in network.parameters()} == {id(parameter) for parameter in model.parameters()}
    images, target = torch.rand(5, 1, 28, 28), torch.randn(50)
    expected, expected_gradients = gradients(model, images, target)
    answer, found_gradients = gradients(network, images, target)
    assert torch.allclose(answer, expected, atol=1e-5)
    for found, wanted in zip(found_gradients, expected_gradients, strict=True):
        assert (found - wanted).abs().max() <= 1e-5 * max(1.0, wanted.abs().max())


class Written(nn.Module):
    """A block as a function that a test gives."""

    def __init__(self, forward, **convolution):
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, **{"kernel_size": 3, **convolution})
        self.written = forward

    def forward(self, x):
        return self.written(self.convolution, x)


@pytest.mark.parametrize(
    "forward",
    [
        lambda convolution, x: F.max_pool2d(F.relu(convolution(x)), 2),
        lambda convolution, x: F.max_pool2d(torch.relu(convolution(x)), kernel_size=(2, 2), stride=2),
        lambda convolution, x: F.max_pool2d(convolution(x).relu(), 2, 2, 0),
        lambda convolution, x: torch.max_pool2d(input=F.relu(input=convolution(x)), kernel_size=2),
    ],
)
def test_a_block_is_found_however_it_is_written(forward):
    model = Written(forward)
    network = fuse(model, (1, 10, 10), threads=2)
    assert len(blocks_of(network)) == 1
    images = torch.rand(3, 1, 10, 10)
    assert torch.allclose(network(images), model(images), atol=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        Written(lambda convolution, x: F.max_pool2d(F.relu(convolution(x)), 3)),
        Written(lambda convolution, x: F.max_pool2d(F.relu(convolution(x)), 2, stride=1)),
        Written(lambda convolution, x: F.max_pool2d(F.relu(convolution(x)), 2, ceil_mode=True)),
        Written(lambda convolution, x: F.avg_pool2d(F.relu(convolution(x)), 2)),
        Written(lambda convolution, x: F.max_pool2d(F.gelu(convolution(x)), 2)),
        Written(lambda convolution, x: F.max_pool2d((y := F.relu(convolution(x))), 2) + y.mean()),
        Written(lambda convolution, x: F.max_pool2d(F.relu(y := convolution(x)), 2) + y.mean()),
        Written(lambda convolution, x: F.max_pool2d(F.relu(convolution(x)), 2, dilation=(1, 2))),
        Written(lambda convolution, x: F.max_pool2d(F.relu(convolution(x)), 2, padding=(0, 1))),
        Written(lambda convolution, x: F.max_pool2d(F.relu(convolution(x)), 2), kernel_size=5),
        Written(lambda convolution, x: F.max_pool2d(F.relu(convolution(x)), 2), padding=1),
        Written(lambda convolution, x: F.max_pool2d(F.relu(convolution(x)), 2), stride=2),
        Written(lambda convolution, x: F.max_pool2d(F.relu(convolution(x)), 2), bias=False),
    ],
)
def test_what_is_not_such_a_block_is_left_to_pytorch(model):
    with pytest.raises(CannotFuse, match="no 3×3 convolution"):
        fuse(model, (1, 28, 28), threads=2)


def test_blocks_are_counted_beside_all_convolutions():
    model = nn.Sequential(*layers(1, 4), nn.Conv2d(4, 4, 5), nn.ReLU(), *layers(4, 8))
    assert count_blocks(model) == (2, 3)
    assert count_blocks(Written(lambda convolution, x: x if x.sum() > 0 else -x)) == (0, 0)


def test_code_that_asks_for_values_cannot_be_followed_and_says_so():
    model = Written(lambda convolution, x: F.max_pool2d(F.relu(convolution(x)), 2) if x.sum() > 0 else x)
    with pytest.raises(CannotFuse, match=r"torch\.fx cannot follow the network's code \(TraceError"):
        fuse(model, (1, 28, 28), threads=2)


def test_a_block_too_large_for_a_cache_is_left_to_pytorch():
    with pytest.raises(CannotFuse, match="kB at hand"):
        fuse(layers(64, 128), (64, 28, 28), threads=2)


def test_the_same_threads_give_the_same_bits():
    network = fuse(DEFINITIONS["sequential"].build(0), (1, 28, 28), threads=2)
    images, target = torch.rand(32, 1, 28, 28), torch.randn(320)
    (_, once), (_, again) = (gradients(network, images, target) for _ in range(2))
    assert all(torch.equal(first, second) for first, second in zip(once, again, strict=True))


@pytest.fixture
def nothing_compiled():
    compiler.compiled.cache_clear()
    yield
    compiler.compiled.cache_clear()


@pytest.mark.usefixtures("nothing_compiled")
def test_a_kernel_is_compiled_once_and_kept_in_the_home(lab_home, monkeypatch):
    fuse(layers(1, 8), (1, 28, 28), threads=2)
    assert sorted(file.suffix for file in (lab_home / "kernels").iterdir()) == [".sha256", ".so"]
    compiler.compiled.cache_clear()
    monkeypatch.setattr(subprocess, "run", None)
    fuse(layers(1, 8), (1, 28, 28), threads=2)


@pytest.mark.usefixtures("nothing_compiled")
@pytest.mark.parametrize("damage", [lambda content: content[:-1] + bytes([content[-1] ^ 1]), lambda content: b""])
def test_a_kernel_with_a_changed_byte_is_compiled_again_and_never_loaded(damage, lab_home, monkeypatch):
    fuse(layers(1, 8), (1, 28, 28), threads=2)
    (library,) = (lab_home / "kernels").glob("*.so")
    whole = library.read_bytes()
    library.unlink()  # the file that this process has loaded stays as it is
    library.write_bytes(damage(whole))
    loaded = []
    monkeypatch.setattr(compiler.ctypes, "CDLL", lambda path: loaded.append(Path(path).read_bytes()))
    compiler.compiled.cache_clear()
    compiler.compiled(28, 28, 1, 8)
    assert loaded == [library.read_bytes()]
    assert hashlib.sha256(loaded[0]).hexdigest() == library.with_suffix(".sha256").read_text(encoding="ascii")


@pytest.mark.usefixtures("nothing_compiled")
def test_a_kernel_of_an_earlier_version_without_a_sum_is_compiled_again(lab_home):
    fuse(layers(1, 8), (1, 28, 28), threads=2)
    (kept,) = (lab_home / "kernels").glob("*.sha256")
    kept.unlink()
    compiler.compiled.cache_clear()
    fuse(layers(1, 8), (1, 28, 28), threads=2)
    assert kept.exists()


@pytest.mark.usefixtures("nothing_compiled")
def test_a_home_whose_name_the_linker_does_not_take_has_its_kernels_too(lab_home, monkeypatch):
    monkeypatch.setenv("CNNLAB_HOME", str(lab_home / "My%20Project"))
    fuse(layers(1, 8), (1, 28, 28), threads=2)
    assert len(list((lab_home / "My%20Project" / "kernels").glob("*.so"))) == 1


@pytest.mark.usefixtures("nothing_compiled")
def test_a_missing_compiler_is_told(monkeypatch):
    def missing(name):
        raise compiler.PackageNotFoundError(name)

    monkeypatch.setattr(compiler, "version", missing)
    with pytest.raises(CannotFuse, match="ziglang, is not installed"):
        fuse(layers(1, 8), (1, 28, 28), threads=2)


@pytest.mark.usefixtures("nothing_compiled")
def test_a_compiler_that_fails_is_told_and_leaves_nothing_behind(lab_home, monkeypatch):
    monkeypatch.setattr(compiler, "_OPTIONS", ("-no-such-option",))
    with pytest.raises(CannotFuse, match=r"the compiler failed: .*no-such-option"):
        fuse(layers(1, 8), (1, 28, 28), threads=2)
    assert list((lab_home / "kernels").iterdir()) == []


@pytest.mark.usefixtures("nothing_compiled")
def test_a_kernel_whose_batch_is_not_pythons_is_not_compiled(monkeypatch):
    class Longer(compiler.Batch):
        _fields_ = (("added", ctypes.c_int32),)

    monkeypatch.setattr(compiler, "Batch", Longer)
    with pytest.raises(CannotFuse, match=r"compiler\.py has another Batch"):
        fuse(layers(1, 8), (1, 28, 28), threads=2)


def test_without_openmp_one_thread_does_all_the_slices(monkeypatch):
    model = DEFINITIONS["sequential"].build(0)
    network = fuse(model, (1, 28, 28), threads=2)
    images, target = torch.rand(32, 1, 28, 28), torch.randn(320)
    _, with_team = gradients(network, images, target)
    monkeypatch.setattr(block, "_openmp_team", lambda: None)
    _, alone = gradients(network, images, target)
    assert all(torch.equal(first, second) for first, second in zip(with_team, alone, strict=True))


@pytest.mark.parametrize(
    "forward",
    [
        lambda convolution, x: F.max_pool2d(F.relu(convolution(x)), 2) + torch.randn(1),  # a constant in the trace
        lambda convolution, x: F.max_pool2d(F.relu(convolution(x)), 2).detach(),  # nothing to train
    ],
)
def test_a_network_that_the_trace_would_change_is_left_to_pytorch(forward):
    with pytest.raises(CannotFuse, match=r"misses something|cannot be tried out"):
        fuse(Written(forward), (1, 10, 10), threads=1)


def test_what_a_network_changes_in_place_is_not_lost():
    def forward(convolution, x):
        y = F.max_pool2d(F.relu(convolution(x)), 2)
        y.sub_(5)
        return y

    model = Written(forward)
    images = torch.rand(2, 1, 10, 10)
    assert torch.allclose(fuse(model, (1, 10, 10), threads=1)(images), model(images), atol=1e-6)


def test_channels_that_do_not_fit_are_left_to_pytorch_to_complain_of():
    model = nn.Sequential(layers(1, 8), layers(1, 16))
    with pytest.raises(CannotFuse):
        fuse(model, (1, 28, 28), threads=1)


def test_a_convolution_with_a_hook_is_left_to_pytorch():
    model = layers(1, 4)
    model[0].register_forward_hook(lambda *_: None)
    with pytest.raises(CannotFuse, match="no 3×3 convolution"):
        fuse(model, (1, 10, 10), threads=1)
