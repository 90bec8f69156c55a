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


def sealed(content: dict[str, Any]) -> dict[str, Any]:
    """Return an object for a JSON file with its checksum added."""
    return content | {_SUM: sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()}


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


def sealed_tensors(tensors: dict[str, Tensor]) -> bytes:
    """Return a safetensors file with its checksum in its metadata."""
    return save(tensors, metadata={_SUM: _sum_and_metadata(save(tensors))[0]})


def is_whole_tensors(content: bytes) -> bool:
    """Return whether a safetensors file can be read and matches its sum. One without metadata has none to match."""
    try:
        load(content)
        found, metadata = _sum_and_metadata(content)
    except (SafetensorError, ValueError, RecursionError):
        return False
    return not metadata or metadata.get(_SUM) == found


def is_whole_zip(content: bytes) -> bool:
    """Return whether each part of a zip archive as ``torch.save`` writes it, unpacked, matches the archive's sum."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            is_unpacked = all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())
            return is_unpacked and archive.testzip() is None
    except Exception:  # zipfile raises whatever a damaged file makes of its reader
        return False


def _sum_and_metadata(content: bytes) -> tuple[str, dict[str, str]]:
    """Return the sum of all that a safetensors file holds but its metadata, and these.

    References
    ----------
    The format: eight bytes with the length of the header, the header in JSON, the numbers
    (https://huggingface.co/docs/safetensors).
    """
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    metadata = header.pop("__metadata__", {})
    return sha256(json.dumps(header, sort_keys=True).encode() + content[start:]).hexdigest(), metadata
