"""What a fine-tuned run begins with in place of random weights, as a file of its own.

The file holds all of it, so that the run goes on bit for bit when the run that it was made of, or the digits, are gone.
"""

from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any, Self

import torch
from safetensors.torch import load
from torch import Tensor

from cnnlab.drawing.my_digits import MyDigit, lines_of, strokes_in
from cnnlab.storage.checksums import is_whole_tensors, sealed_tensors
from cnnlab.wording import as_line

_WEIGHTS, _DIGITS = "weights.", "digits"
_LONGEST = 100  # of a run's name, or of a sum


@dataclass(frozen=True)
class Start:
    """What a fine-tuned run begins with.

    Attributes
    ----------
    weights
        Those of the run that it was made of: a ``state_dict`` on the CPU.
    own_digits
        Those of one person, on which it trains beside MNIST and the pen digits; at least one.
    """

    weights: dict[str, Tensor]
    own_digits: tuple[MyDigit, ...]

    def to_bytes(self) -> bytes:
        """Return the file: the weights, and a tensor with the bytes of a file of digits as it is downloaded."""
        digits = torch.frombuffer(bytearray(lines_of(self.own_digits)), dtype=torch.uint8)
        return sealed_tensors({f"{_WEIGHTS}{name}": each for name, each in self.weights.items()} | {_DIGITS: digits})

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read the file, which may be untrusted.

        Raises
        ------
        ValueError, InvalidDigits
            If it is none.
        """
        if not is_whole_tensors(content):
            raise ValueError("This is no file of tensors.")
        tensors = load(content)
        digits = tensors.pop(_DIGITS, torch.empty(0, dtype=torch.uint8))
        if digits.dtype != torch.uint8 or not all(name.startswith(_WEIGHTS) for name in tensors):
            raise ValueError("A start holds weights and digits, and nothing else.")
        weights = {name.removeprefix(_WEIGHTS): each for name, each in tensors.items()}
        return cls(weights, strokes_in(digits.numpy().tobytes()))


@dataclass(frozen=True)
class FineTuning:
    """What a fine-tuned run's manifest says of its start.

    Attributes
    ----------
    run
        The identity of the run that it was made of, which may be gone.
    name
        What that was called then.
    own_digits
        On how many digits of one's own it trains.
    sum
        The SHA-256 sum of the file of its `Start`.
    """

    run: str
    name: str
    own_digits: int
    sum: str

    @classmethod
    def of(cls, run: str, name: str, own_digits: int, content: bytes) -> Self:
        """Describe a start, of which `content` is the file."""
        return cls(run, name, own_digits, sha256(content).hexdigest())

    @classmethod
    def from_record(cls, record: Any) -> Self:
        """Read what `to_record` wrote.

        Raises
        ------
        ValueError, TypeError
            If it is nothing of the kind.
        """
        told = cls(**record)
        words = (told.run, told.name, told.sum)
        are_lines = all(isinstance(each, str) and len(each) <= _LONGEST and as_line(each) == each for each in words)
        if not (are_lines and type(told.own_digits) is int and told.own_digits > 0):
            raise ValueError("A fine-tuned run says of which run it was made, and with how many digits.")
        return told

    def to_record(self) -> dict[str, Any]:
        """Return it as an object for a JSON file."""
        return asdict(self)

    def is_of(self, content: bytes) -> bool:
        """Return whether a file is the one that is described."""
        return sha256(content).hexdigest() == self.sum

    @property
    def told(self) -> str:
        """What it says to people: "fine-tuned from Reference: For drawing with 20 own digits"."""
        return f"fine-tuned from {self.name} with {self.own_digits:,} own digits"

    @property
    def told_apart(self) -> str:
        """What it says of its start, with some digits of the sum, by which it is told from another of that name."""
        return f"the weights of {self.name} and {self.own_digits:,} own digits ({self.sum[:6]})"
