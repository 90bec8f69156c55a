import pytest
import torch
from safetensors.torch import save

from cnnlab.drawing.my_digits import MyDigit
from cnnlab.drawing.strokes import Stroke
from cnnlab.errors import LabError
from cnnlab.fine_tuning.start import FineTuning, Start

DIGITS = tuple(MyDigit(1, (Stroke(20, ((x, 50.0), (x, 230.0))),)) for x in (100.0, 120.5))
START = Start({"0.weight": torch.arange(6.0).view(2, 3), "0.bias": torch.zeros(2)}, DIGITS)


TOLD = FineTuning("identity", "Mine", 2, "ab12").to_record()


def test_a_start_is_read_as_it_was_written():
    found = Start.from_bytes(START.to_bytes())
    assert found.own_digits == DIGITS
    assert found.weights.keys() == START.weights.keys()
    assert all(torch.equal(tensor, START.weights[name]) for name, tensor in found.weights.items())


def test_the_same_start_makes_the_same_file():
    assert START.to_bytes() == Start.from_bytes(START.to_bytes()).to_bytes()


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"weights.a": torch.zeros(1)},
        {"a": torch.zeros(1), "digits": torch.tensor(list(b"{}"), dtype=torch.uint8)},
        {"weights.a": torch.zeros(1), "digits": torch.zeros(3)},
        {"weights.a": torch.zeros(1), "digits": torch.tensor(list(b'{"digit": 1}'), dtype=torch.uint8)},
    ],
)
def test_what_is_no_start_is_refused(tensors):
    with pytest.raises((ValueError, LabError)):
        Start.from_bytes(save(tensors))


def test_a_dtype_that_pytorch_is_not_given_is_refused():
    content = save({"weights.a": torch.zeros(4, dtype=torch.uint8), "digits": torch.zeros(1, dtype=torch.uint8)})
    with pytest.raises(ValueError, match="no file of tensors"):
        Start.from_bytes(content.replace(b'"U8"', b'"F4"', 1))


def test_what_is_told_of_a_start_holds_for_no_other_file():
    told = FineTuning.of("identity", "Mine", 2, START.to_bytes())
    assert told.is_of(START.to_bytes())
    assert not told.is_of(Start(START.weights, DIGITS[:1]).to_bytes())
    assert told.own_digits == 2
    assert FineTuning.from_record(told.to_record()) == told
    assert told.told == "fine-tuned from Mine with 2 own digits"


@pytest.mark.parametrize(
    "record",
    [
        [],
        {},
        {"run": 1, "name": "a", "own_digits": 2, "sum": "b"},
        {"run": "a"},
        *(TOLD | each for each in ({"own_digits": -5}, {"name": "\ud800"}, {"name": "a" * 200_000}, {"name": "a\nb"})),
    ],
)
def test_a_record_of_nothing_of_the_kind_is_refused(record):
    with pytest.raises((ValueError, TypeError)):
        FineTuning.from_record(record)
