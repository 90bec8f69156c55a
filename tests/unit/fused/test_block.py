import math

import pytest
import torch
from gradients import assert_alike, gradients
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import nn

from cnnlab.fused import block, team
from cnnlab.fused.compiler import CannotFuse
from cnnlab.fused.rewrite import fuse
from cnnlab.models.definitions import DEFINITIONS

pytestmark = pytest.mark.slow


def layers(inputs, outputs, kernel=3, padding=0, pool=2):
    pooling = [nn.MaxPool2d(pool)] if pool > 1 else []
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, padding=padding), nn.ReLU(), *pooling)


# Each example compiles a kernel: to look for a smaller one that fails, too, would take minutes.
@settings(max_examples=25, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    inputs=st.integers(1, 9),
    outputs=st.integers(1, 34),
    height=st.integers(6, 16),
    width=st.integers(6, 16),
    kernel=st.sampled_from([3, 5]),
    padding=st.integers(0, 2),
    pool=st.sampled_from([1, 2]),
    count=st.integers(1, 9),
    threads=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_answers_and_gradients_are_pytorchs_for_random_shapes_and_weights(
    inputs, outputs, height, width, kernel, padding, pool, count, threads, seed
):
    torch.manual_seed(seed)
    model = layers(inputs, outputs, kernel, padding, pool)
    images, target = torch.randn(count, inputs, height, width), torch.randn(count * outputs * 18 * 18)
    network = fuse(model, (inputs, height, width), threads)
    assert_alike(gradients(network, images, target), gradients(model, images, target))


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


def test_a_block_too_large_for_a_cache_is_left_to_pytorch():
    with pytest.raises(CannotFuse, match=r"64 to 128 channels on 28 × 28 needs .* kB at hand"):
        fuse(layers(64, 128), (64, 28, 28), threads=2)


@pytest.mark.parametrize(("outputs", "fits"), [(32, True), (33, False)])
def test_what_a_kernel_has_at_hand_is_two_padded_images_three_sets_of_weights_and_its_numbers(
    outputs, fits, monkeypatch
):
    with_32 = [*(2 * [5 * (10 + 4) * (12 + 4)]), *(3 * [32 * 3 * (3 * 5 + 8)]), 32 * 6 * 7]
    monkeypatch.setattr(block, "MOST_BYTES_AT_HAND", 4 * sum(with_32))
    monkeypatch.setattr(block, "library_of", lambda source, **definitions: definitions["OUTPUTS"])
    sizes = block.BlockSizes(10, 12, inputs=5, outputs=outputs, kernel=3, padding=2, pool=2)
    assert (sizes.pooled, sizes.numbers) == ((6, 7), outputs * 6 * 7)
    if fits:
        assert block.compiled.__wrapped__(sizes) == outputs
    else:
        with pytest.raises(CannotFuse, match=r"needs 40 kB at hand, and the kernel is made for 39 kB"):
            block.compiled.__wrapped__(sizes)


@pytest.mark.parametrize(
    "images", [torch.ones(2, 8, 8), torch.ones(1, 2, 8, 8, dtype=torch.float64), torch.ones(1, 3, 8, 8)]
)
def test_a_block_takes_only_images_of_its_channels_in_float32(images):
    with pytest.raises(CannotFuse) as told:
        block.FusedBlock(nn.Conv2d(2, 4, 3), pool=2, threads=1)(images)
    assert str(told.value) == (
        f"a block that takes 2 channels of float32 is given {images.dtype} of shape {tuple(images.shape)}"
    )


@pytest.mark.parametrize(("side", "fits"), [(4, True), (3, False)])
def test_an_image_that_gives_no_number_is_too_small(side, fits, monkeypatch):
    monkeypatch.setattr(block, "library_of", lambda *_, **__: "compiled")
    sizes = block.BlockSizes(side, 9, inputs=1, outputs=1, kernel=3, padding=0, pool=2)
    if fits:
        assert block.compiled.__wrapped__(sizes) == "compiled"
    else:
        with pytest.raises(CannotFuse, match=f"a block has images of {side} × 9, too small for its kernel"):
            block.compiled.__wrapped__(sizes)


def test_the_same_threads_give_the_same_bits():
    network = fuse(DEFINITIONS["sequential"].build(0), (1, 28, 28), threads=2)
    images, target = torch.rand(32, 1, 28, 28), torch.randn(320)
    (_, once), (_, again) = (gradients(network, images, target) for _ in range(2))
    assert all(torch.equal(first, second) for first, second in zip(once, again, strict=True))


def test_without_openmp_one_thread_does_all_the_slices(monkeypatch):
    model = DEFINITIONS["sequential"].build(0)
    network = fuse(model, (1, 28, 28), threads=2)
    images, target = torch.rand(32, 1, 28, 28), torch.randn(320)
    _, with_team = gradients(network, images, target)
    monkeypatch.setattr(team, "_openmp_team", lambda: None)
    _, alone = gradients(network, images, target)
    assert all(torch.equal(first, second) for first, second in zip(with_team, alone, strict=True))
