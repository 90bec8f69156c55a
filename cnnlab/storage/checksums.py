"""Checksums that reveal a changed file, whichever byte of it was changed."""

import io
import json
import zipfile
from hashlib import sha256
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

_SUM = "sha256"
_SEAL = "cnnlab"
_METADATA = "__metadata__"
# A safetensors file begins with a header of some 80 bytes a tensor; the largest networks have some thousand.
_MOST_HEADER_BYTES = 500_000
# The parts of a checkpoint are a tensor each, and one that says how they belong together.
_MOST_PARTS = 10_000
_MOST_STRUCTURE_BYTES = 2_000_000


def sealed(content: dict[str, Any]) -> dict[str, Any]:
    """Return an object for a JSON file with its checksum added."""
    return content | {_SUM: sum_of(content)}


def unsealed(found: object) -> dict[str, Any]:
    """Check an object read from a JSON file, and return it without its checksum. One without a checksum is accepted.

    Raises
    ------
    ValueError
        If it is not what was sealed.
    """
    if not isinstance(found, dict):
        raise ValueError("This is no JSON object.")
    content = {name: value for name, value in found.items() if name != _SUM}
    if _SUM in found and found != sealed(content):
        raise ValueError("This is not what was sealed.")
    return content


def sum_of(content: dict[str, Any]) -> str:
    """Return the checksum that `sealed` adds to an object."""
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def sealed_tensors(tensors: dict[str, Tensor], **origin: str) -> bytes:
    """Return a safetensors file whose metadata say where the tensors are from, with a sum of both.

    The same tensors and origin make the same bytes: safetensors writes several metadata in no fixed order, so these are
    one, an object in JSON.
    """
    header, numbers = _parts_of(save(tensors))
    return save(tensors, metadata={_SEAL: json.dumps({**origin, _SUM: _sum_of_parts(header, origin, numbers)})})


def origin_of(content: bytes) -> dict[str, str]:
    """Return what a whole safetensors file says of its origin; nothing where it has no sum."""
    header, _ = _parts_of(content)
    return _origin_and_sum(header)[0] if header.get(_METADATA) else {}


def is_whole_tensors(content: bytes) -> bool:
    """Return whether a safetensors file can be read and matches its sum. One without metadata has none to match."""
    try:
        if int.from_bytes(content[:8], "little") > _MOST_HEADER_BYTES:
            return False
        load(content)
        header, numbers = _parts_of(content)
        if not header.get(_METADATA):
            return True
        origin, told = _origin_and_sum(header)
        return told == _sum_of_parts(header, origin, numbers)
    except (SafetensorError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return False


def is_whole_zip(content: bytes) -> bool:
    """Return whether each part of a zip archive as ``torch.save`` writes it, unpacked, matches the archive's sum."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
            is_unpacked = all(part.compress_type == zipfile.ZIP_STORED for part in parts)
            structure = sum(part.file_size for part in parts if part.filename.endswith(".pkl"))
            is_modest = len(parts) <= _MOST_PARTS and structure <= _MOST_STRUCTURE_BYTES
            return is_unpacked and is_modest and archive.testzip() is None
    except Exception:  # zipfile raises whatever a damaged file makes of its reader
        return False


def _parts_of(content: bytes) -> tuple[dict[str, Any], memoryview]:
    """Return the header of a safetensors file, and the numbers behind it.

    References
    ----------
    The format: eight bytes with the length of the header, the header in JSON, the numbers
    (https://huggingface.co/docs/safetensors).
    """
    start = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:start]), memoryview(content)[start:]


def _origin_and_sum(header: dict[str, Any]) -> tuple[dict[str, str], str]:
    metadata = header[_METADATA]
    seal = json.loads(metadata[_SEAL]) if _SEAL in metadata else metadata  # earlier versions wrote the sum alone
    return {name: value for name, value in seal.items() if name != _SUM}, seal[_SUM]


def _sum_of_parts(header: dict[str, Any], origin: dict[str, str], numbers: memoryview) -> str:
    tensors = {name: tensor for name, tensor in header.items() if name != _METADATA}
    told = json.dumps(tensors, sort_keys=True) + (json.dumps(origin, sort_keys=True) if origin else "")
    total = sha256(told.encode())
    total.update(numbers)
    return total.hexdigest()
