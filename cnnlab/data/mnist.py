"""MNIST as tensors, from the archives that ship with the lab."""

import gzip
import hashlib
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from urllib.error import URLError

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from cnnlab.errors import LabError
from cnnlab.storage.files import replacing, unfinished_suffix
from cnnlab.storage.home import home, writing_to_home
from cnnlab.storage.locks import exclusive_lock

ARCHIVES = Path(__file__).parents[1] / "assets" / "mnist"
TRAIN_IMAGES = 60_000
TEST_IMAGES = 10_000
IMAGE_SHAPE = (1, 28, 28)  # channels, height, width

_ARCHIVES: dict[str, tuple[str, tuple[int, ...]]] = {
    "train_images": ("train-images-idx3-ubyte.gz", (TRAIN_IMAGES, *IMAGE_SHAPE[1:])),
    "train_labels": ("train-labels-idx1-ubyte.gz", (TRAIN_IMAGES,)),
    "test_images": ("t10k-images-idx3-ubyte.gz", (TEST_IMAGES, *IMAGE_SHAPE[1:])),
    "test_labels": ("t10k-labels-idx1-ubyte.gz", (TEST_IMAGES,)),
}
# The SHA-256 sums of what mnist.safetensors must hold: grey levels and digits, each one byte.
_SUMS = {
    "train_images": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
    "train_labels": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    "test_images": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
    "test_labels": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
}


class DataError(LabError):
    """MNIST can be neither read nor fetched."""


@dataclass(frozen=True)
class MNIST:
    """The training and the test set, whole, in memory.

    Attributes
    ----------
    train_images, test_images
        Shape (N, 1, 28, 28), float32; 0 is the background, 1 is full ink. `load` can leave the training images as
        bytes, from 0 to 255, of which `as_input` makes such numbers.
    train_labels, test_labels
        Shape (N,), int64: the digits 0 to 9.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    def to(self, device: torch.device) -> "MNIST":
        """Return the same images and labels on another device."""
        return MNIST(
            self.train_images.to(device),
            self.train_labels.to(device),
            self.test_images.to(device),
            self.test_labels.to(device),
        )

    def first(self, train: int, test: int) -> "MNIST":
        """Return a smaller set: the first images of each of the two."""
        return MNIST(
            self.train_images[:train],
            self.train_labels[:train],
            self.test_images[:test],
            self.test_labels[:test],
        )


def load(train_images_as_bytes: bool = False) -> MNIST:
    """Load MNIST, decoding the archives into the lab's home the first time.

    Parameters
    ----------
    train_images_as_bytes
        Leave the training images in the file that all processes share, instead of making 188 MB of numbers of them.

    Returns
    -------
    MNIST
        60,000 training and 10,000 test images, scaled as torchvision's ``ToTensor`` scales them.

    Raises
    ------
    DataError
        If an archive is damaged or gone and cannot be fetched.
    HomeError
        If the lab's home cannot be written.
    """
    tensors = _decoded(list(_SUMS))
    train_images = tensors["train_images"].unsqueeze(1)
    return MNIST(
        train_images=train_images if train_images_as_bytes else as_input(train_images),
        train_labels=tensors["train_labels"].long(),
        test_images=as_input(tensors["test_images"].unsqueeze(1)),
        test_labels=tensors["test_labels"].long(),
    )


def load_test_set() -> tuple[Tensor, Tensor]:
    """Load the test set only, which saves a fifth of a second and 220 MB. The result is cached.

    Returns
    -------
    tuple of Tensor
        The images, shape (10000, 1, 28, 28), float32, and the labels, shape (10000,), int64.
    """
    return _test_set_of(home())


@lru_cache(maxsize=1)
def _test_set_of(_home: Path) -> tuple[Tensor, Tensor]:
    tensors = _decoded(["test_images", "test_labels"])
    return as_input(tensors["test_images"].unsqueeze(1)), tensors["test_labels"].long()


@contextmanager
def torchvision_root() -> Iterator[Path]:
    """Provide a folder from which torchvision's MNIST reads the lab's archives.

    What it prints goes to standard error.

    Raises
    ------
    DataError
        If an archive is damaged or gone and the body cannot fetch it.
    HomeError
        If the lab's home cannot be written.
    """
    datasets = import_torchvision().datasets
    with writing_to_home():
        home().mkdir(parents=True, exist_ok=True)
        root = Path(tempfile.mkdtemp(dir=home(), prefix=".mnist.", suffix=unfinished_suffix()))
        try:
            raw = root / "MNIST" / "raw"
            raw.mkdir(parents=True)
            for archive in ARCHIVES.glob("*.gz"):
                shutil.copy(archive, raw)
            with redirect_stdout(sys.stderr):  # torchvision prints; the command line's output is the lab's own
                yield root
        except (RuntimeError, URLError, ConnectionError, TimeoutError) as error:
            raise DataError(_what_is_wrong(datasets.MNIST.resources)) from error
        finally:
            shutil.rmtree(root, ignore_errors=True)


def import_torchvision() -> ModuleType:
    """Import torchvision, even beside a PyTorch that was built without CUDA.

    torchvision's wheel registers two operators from a compiled part that only a CUDA build of PyTorch can load.
    Nothing here calls them, but the import wants them declared.
    """
    try:
        import torchvision
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision

        torchvision.declared_operators = library  # they last as long as this object
    return torchvision


def as_input(images: Tensor) -> Tensor:
    """Scale byte images of any shape to a network's input: float32, from 0 to 1."""
    return images.float().div_(255)


def _decoded(names: list[str]) -> dict[str, Tensor]:
    path = home() / "mnist.safetensors"
    if tensors := _read_decoded(path, names):
        return tensors
    with writing_to_home():
        home().mkdir(parents=True, exist_ok=True)
        # A worker that is getting ready decodes them too: who comes second has them sooner by waiting.
        with exclusive_lock(home() / ".mnist.lock"):
            if tensors := _read_decoded(path, names):
                return tensors
            decoded = _decode_archives()
            with replacing(path) as unfinished:
                unfinished.write_bytes(save(decoded))
    return decoded


def _read_decoded(path: Path, names: list[str]) -> dict[str, Tensor] | None:
    """Return what the file holds, or None if a byte of it is not MNIST's: it would be trained on for good."""
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in names}
    except (OSError, SafetensorError):
        return None
    return tensors if _is_mnist(tensors) else None


def _decode_archives() -> dict[str, Tensor]:
    """Read the archives; where one is damaged or gone torchvision does, which fetches it.

    To import torchvision takes a second, and memory for good: most homes do without.
    """
    with suppress(OSError, EOFError, zlib.error, ValueError, RuntimeError):  # whatever is wrong, torchvision tells
        decoded = {name: _decoded_archive(*archive) for name, archive in _ARCHIVES.items()}
        if _is_mnist(decoded):
            return decoded
    return _decode_by_torchvision()


def _decoded_archive(name: str, shape: tuple[int, ...]) -> Tensor:
    """Return what an archive holds: bytes, in the IDX format behind four bytes and four for each dimension."""
    content = gzip.decompress((ARCHIVES / name).read_bytes())
    return torch.frombuffer(bytearray(content[4 + 4 * len(shape) :]), dtype=torch.uint8).reshape(shape)


def _is_mnist(tensors: dict[str, Tensor]) -> bool:
    return all(hashlib.sha256(tensor.numpy().data).hexdigest() == _SUMS[name] for name, tensor in tensors.items())


def _decode_by_torchvision() -> dict[str, Tensor]:
    """Read the archives with torchvision, which checks them by its MD5 sums and fetches what is missing."""
    datasets = import_torchvision().datasets
    with torchvision_root() as root:
        train = datasets.MNIST(root, train=True, download=True)
        test = datasets.MNIST(root, train=False, download=True)
    return {
        "train_images": train.data,
        "train_labels": train.targets.byte(),
        "test_images": test.data,
        "test_labels": test.targets.byte(),
    }


def _what_is_wrong(resources: list[tuple[str, str]]) -> str:
    faults = []
    for name, md5 in resources:
        archive = ARCHIVES / name
        if not archive.exists():
            faults.append(f"{name} is missing")
        elif hashlib.md5(archive.read_bytes()).hexdigest() != md5:
            faults.append(f"{name} is damaged")
    return (
        f"MNIST cannot be read: in {ARCHIVES}, {' and '.join(faults) or 'an archive cannot be read'}, and MNIST's "
        "mirrors could not be reached. Restore the folder (git checkout -- cnnlab/assets/mnist), or connect to the "
        "Internet and try again."
    )
