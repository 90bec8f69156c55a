import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cnnlab.data.augmentation import random_firsts
from cnnlab.fused import gather
from cnnlab.fused.gather import gathered, gathered_by_torch


@given(
    count=st.integers(1, 9),
    pixels=st.integers(1, 4),
    threads=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_images_are_pytorchs_to_the_last_bit(count, pixels, threads, seed):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (20, 1, 28, 28), dtype=torch.uint8, generator=generator)
    places = torch.randint(20, (count,), generator=generator)
    firsts = random_firsts(count, pixels, generator)
    found = gathered(images, places, firsts, pixels, threads)
    assert torch.equal(found, gathered_by_torch(images, places, firsts, pixels))


@pytest.mark.parametrize("reason", ["floats", "no kernel"])
def test_without_the_kernel_the_images_are_the_same(reason, monkeypatch):
    images = torch.randint(0, 256, (20, 1, 28, 28), dtype=torch.uint8)
    places, firsts = torch.tensor([3, 1, 3]), random_firsts(3, 2, torch.Generator())
    expected = gathered(images, places, firsts, 2, threads=1)
    if reason == "no kernel":
        monkeypatch.setattr(gather, "kernel_if_any", lambda *_: None)
    else:
        images = images.float() / 255
    assert torch.equal(gathered(images, places, firsts, 2, threads=1), expected)
