"""What the lab must say, computed another way than the lab computes it.

The tutorial's network is written out in NumPy, MNIST is read from its archives, and a run from the lines of its log. So
a page whose numbers agree with these does not agree with itself alone.
"""

import base64
import gzip
import io
import json
from functools import cache
from math import comb
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

ASSETS = Path(__file__).parents[1] / "cnnlab" / "assets"
REFERENCE = ASSETS / "runs"
_ARRAYS = {"F32": np.float32, "F64": np.float64, "I64": np.int64, "U8": np.uint8}


def events(folder: Path, kind: str) -> list[dict]:
    """Return the lines of one kind in the log of the run in a folder."""
    lines = map(json.loads, (folder / "events.jsonl").read_text().splitlines())
    return [line for line in lines if line["event"] == kind]


@cache
def images_and_labels() -> tuple[np.ndarray, np.ndarray]:
    """Return MNIST's test images, shape (10000, 28, 28), from 0 to 1, and their labels, shape (10000,)."""
    folder = ASSETS / "mnist"
    images = gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((folder / "t10k-labels-idx1-ubyte.gz").read_bytes())[8:]
    return np.frombuffer(images, np.uint8).reshape(-1, 28, 28) / 255, np.frombuffer(labels, np.uint8).astype(int)


@cache
def weights(folder: Path) -> list[np.ndarray]:
    """Return a run's weights and biases in the order in which the layers compute.

    A safetensors file is the length of its header, the header in JSON, and the numbers.
    """
    content = (folder / "weights.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    numbers = content[8 + length :]
    tensors = {
        name: np.frombuffer(numbers[slice(*told["data_offsets"])], _ARRAYS[told["dtype"]]).reshape(told["shape"])
        for name, told in header.items()
        if name != "__metadata__"
    }
    layers = sorted(
        {name.partition(".")[0] for name in tensors}, key=lambda layer: (not layer.startswith("conv"), layer.zfill(2))
    )
    return [tensors[f"{layer}.{part}"].astype(np.float64) for layer in layers for part in ("weight", "bias")]


def forward(folder: Path, images: np.ndarray) -> dict[str, np.ndarray]:
    """Return what the tutorial's network computes for images of shape (N, 28, 28): its feature maps and its logits."""
    conv1, bias1, conv2, bias2, *linear = weights(folder)
    first = np.maximum(_convolved(images[:, None], conv1, bias1), 0)
    second = np.maximum(_convolved(_pooled(first), conv2, bias2), 0)
    x = _pooled(second).reshape(len(images), -1)
    for place in range(0, len(linear), 2):
        x = x @ linear[place].T + linear[place + 1]
        if place < len(linear) - 2:
            x = np.maximum(x, 0)
    return {"first": first, "second": second, "logits": x}


def _convolved(images: np.ndarray, filters: np.ndarray, bias: np.ndarray) -> np.ndarray:
    windows = sliding_window_view(images, filters.shape[2:], axis=(2, 3))
    return np.einsum("nchwij,fcij->nfhw", windows, filters, optimize=True) + bias[:, None, None]


def _pooled(maps: np.ndarray) -> np.ndarray:
    height, width = (side // 2 for side in maps.shape[2:])
    return maps[:, :, : height * 2, : width * 2].reshape(*maps.shape[:2], height, 2, width, 2).max(axis=(3, 5))


def probabilities(folder: Path, images: np.ndarray) -> np.ndarray:
    """Return the softmax of the logits: shape (N, 10)."""
    batches = np.array_split(images, -(-len(images) // 500))
    logits = np.concatenate([forward(folder, batch)["logits"] for batch in batches])
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@cache
def answers(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return a run's answers to the test images, and how probable it finds them: two of shape (10000,)."""
    found = probabilities(folder, images_and_labels()[0])
    return found.argmax(axis=1), found.max(axis=1)


def counted(labels: np.ndarray, given: np.ndarray) -> list[list[int]]:
    """Return the confusion matrix, counted cell by cell."""
    return [[sum((labels == digit) & (given == answer)) for answer in range(10)] for digit in range(10)]


def wilson(right: int, total: int) -> tuple[float, float]:
    """Return the shares p at which ``right`` lies 1.96 standard deviations off: (s - p)² = z² p (1 - p) / n."""
    share, z2 = right / total, 1.959963984540054**2 / total
    low, high = sorted(np.roots([1 + z2, -(2 * share + z2), share**2]))
    return float(low), float(high)


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the probability that a fair coin falls so unevenly, or more so: the sum over all such throws."""
    throws = only_first + only_second
    uneven = abs(only_first - only_second)
    return sum(comb(throws, heads) for heads in range(throws + 1) if abs(2 * heads - throws) >= uneven) / 2**throws


def picture(address: str) -> np.ndarray:
    """Return the picture in an address of an ``img``, from 0 to 255."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition("base64,")[2]))))


def moments(images: np.ndarray) -> np.ndarray:
    """Return what tells an image from one that was changed in any place, shape (N, 4).

    Its ink, the row and the column of the ink's centre, and the ink's mean square distance from the corner.
    """
    rows, columns = np.mgrid[: images.shape[-2], : images.shape[-1]] + 0.5
    images = np.asarray(images, np.float64).reshape(-1, *images.shape[-2:])
    ink = images.sum(axis=(1, 2))
    means = [(images * weight).sum(axis=(1, 2)) / ink for weight in (rows, columns, rows**2 + columns**2)]
    return np.stack([ink, *means], axis=1)
