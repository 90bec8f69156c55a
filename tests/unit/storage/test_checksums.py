import io

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load, save

from cnnlab.storage.checksums import is_whole_tensors, is_whole_zip, sealed, sealed_tensors, unsealed

WEIGHTS = {"conv.weight": torch.arange(12.0).reshape(3, 4), "conv.bias": torch.tensor([0.5, -1.0])}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text().filter(lambda name: name != "sha256"), json_values, max_size=4))
def test_what_was_sealed_comes_back(content):
    assert unsealed(sealed(content)) == content


@pytest.mark.parametrize("changed", [{"epochs": 11}, {"seed": 0}, {"sha256": "0" * 64}])
def test_what_was_changed_after_sealing_is_refused(changed):
    with pytest.raises(ValueError, match="not what was sealed"):
        unsealed(sealed({"epochs": 10}) | changed)


def test_what_was_never_sealed_is_taken_as_it_is():
    assert unsealed({"epochs": 10}) == {"epochs": 10}
    assert is_whole_tensors(save(WEIGHTS))


@pytest.mark.parametrize("found", [None, [], "text", 3])
def test_what_is_no_object_is_refused(found):
    with pytest.raises(ValueError, match="no JSON object"):
        unsealed(found)


def test_weights_with_any_byte_changed_are_found_out_or_the_same():
    content = sealed_tensors(WEIGHTS)
    assert is_whole_tensors(content)
    for changed in each_byte_changed(content):
        assert not is_whole_tensors(changed) or same(load(changed), WEIGHTS)


@pytest.mark.slow
def test_a_checkpoint_with_any_byte_changed_is_found_out_or_the_same():
    buffer = io.BytesIO()
    torch.save(WEIGHTS, buffer)
    assert is_whole_zip(buffer.getvalue())
    found_out = 0
    for changed in each_byte_changed(buffer.getvalue()):
        if not is_whole_zip(changed):
            found_out += 1
            continue
        try:
            read = torch.load(io.BytesIO(changed), weights_only=True)
        except Exception:  # `Run.load_checkpoint` calls this damaged too
            continue
        assert same(read, WEIGHTS)
    assert found_out > len(buffer.getvalue()) / 4  # the rest is padding, dates and the like


@pytest.mark.parametrize("share", [0, 0.3, 0.99])
def test_what_breaks_off_is_not_whole(share):
    weights = sealed_tensors(WEIGHTS)
    buffer = io.BytesIO()
    torch.save(WEIGHTS, buffer)
    assert not is_whole_tensors(weights[: int(share * len(weights))])
    assert not is_whole_zip(buffer.getvalue()[: int(share * len(buffer.getvalue()))])


def each_byte_changed(content):
    for place in range(len(content)):
        for flipped in (0x01, 0x80):
            yield content[:place] + bytes([content[place] ^ flipped]) + content[place + 1 :]


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
