"""The batches of an epoch: which images, in which order, and how they are changed at random.

All of it depends on the recipe and on the place in the run alone, so that a resumed run sees what it would have seen.
"""

import zlib

import torch
from torch import Generator, Tensor

from cnnlab.data.augmentation import augment, random_firsts, shift
from cnnlab.data.mnist import MNIST, as_input
from cnnlab.drawing.pen import Outlines, random_drawings
from cnnlab.fused.gather import gathered
from cnnlab.fused.pen import drawn
from cnnlab.training.recipe import DRAWINGS_OF_A_DIGIT, TrainingConfig


def shuffled(size: int, seed: int, epoch: int) -> Tensor:
    """Return an epoch's order of the images: shape (size,), int64, on the CPU.

    It depends on the seed and the epoch alone, so that a resumed run sees the batches it would have seen.
    """
    # PyTorch's generator takes 32 bits of a seed, so the two numbers are hashed into 32.
    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed}, {epoch}".encode()))
    return torch.randperm(size, generator=generator)


def random_changes(seed: int, step: int) -> Generator:
    """Return the random generator for the augmentation of a step, counted from 0.

    It depends on the seed and the step alone, so that a resumed run sees the images it would have seen.
    """
    return torch.Generator().manual_seed(zlib.crc32(f"{seed}, step {step}".encode()))


class PenDrawings:
    """An epoch's drawings of pen digits: `DRAWINGS_OF_A_DIGIT` of each, one digit after the other.

    They depend on the seed and the epoch alone, so that a resumed run sees the drawings it would have seen.
    """

    def __init__(self, outlines: Outlines, seed: int, epoch: int) -> None:
        self._outlines = outlines
        generator = torch.Generator().manual_seed(zlib.crc32(f"{seed}, drawings of epoch {epoch}".encode()))
        self._changes = random_drawings(DRAWINGS_OF_A_DIGIT * len(outlines), generator)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._changes)

    def batch(self, numbers: Tensor, threads: int) -> tuple[Tensor, Tensor]:
        """Return some of them, shape (N, 1, 28, 28), and their labels, shape (N,)."""
        digits = numbers % len(self._outlines)
        return drawn(self._outlines, digits, self._changes[numbers], threads), self._outlines.labels[digits]


class Batches:
    """The batches of one epoch.

    Parameters
    ----------
    data
        On the device where the batches are wanted.
    config
        The recipe.
    outlines
        The pen digits, for a recipe that trains on them.
    epoch
        Counted from 1.
    """

    def __init__(self, data: MNIST, config: TrainingConfig, outlines: Outlines | None, epoch: int) -> None:
        self._data = data
        self._config = config
        self._epoch = epoch
        self._mnist_size = len(data.train_labels) - config.validation
        self._drawings = PenDrawings(outlines, config.seed, epoch) if outlines else None
        order = shuffled(self._mnist_size + len(self._drawings or ()), config.seed, epoch)
        # Which of a batch are drawings is asked on the CPU.
        self._order = (order if self._drawings else order.to(data.train_labels.device)).split(config.batch_size)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._order)

    def places(self, number: int) -> Tensor:
        """Return where a batch's images stand in the training set, shape (N,); drawings come after MNIST's images.

        A batch with drawings has them last, and is in the shuffle's order but for that.
        """
        places = self._order[number]
        is_drawing = places >= self._mnist_size
        return torch.cat([places[~is_drawing], places[is_drawing]])

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        """Return a batch, counted from 0: images as they are trained on, (N, 1, 28, 28), and their labels, (N,)."""
        config, places = self._config, self._order[number]
        changes = random_changes(config.seed, step=(self._epoch - 1) * len(self) + number)
        if config.shift and not self._drawings and not config.augment:
            firsts = random_firsts(len(places), config.shift, changes)
            images = gathered(self._data.train_images, places, firsts, config.shift, config.threads)
            return images, self._data.train_labels.index_select(0, places)
        if self._drawings:
            images, labels = self._with_drawings(self._drawings, places, changes)
        else:
            images, labels = self._of_mnist(places, changes)
        return (shift(images, config.shift, changes) if config.shift else images), labels

    def _of_mnist(self, places: Tensor, changes: Generator) -> tuple[Tensor, Tensor]:
        """Return images of MNIST, augmented if the recipe asks for it."""
        images, labels = (each.index_select(0, places) for each in (self._data.train_images, self._data.train_labels))
        if images.dtype == torch.uint8:
            images = as_input(images)
        return (augment(images, labels, changes) if self._config.augment else images), labels

    def _with_drawings(self, drawings: PenDrawings, places: Tensor, changes: Generator) -> tuple[Tensor, Tensor]:
        """Return images of which some are MNIST's and the others drawings, random as they are."""
        is_drawing = places >= self._mnist_size
        device = self._data.train_labels.device
        images, labels = self._of_mnist(places[~is_drawing].to(device), changes)
        drawn_images, drawn_labels = drawings.batch(places[is_drawing] - self._mnist_size, self._config.threads)
        return torch.cat([images, drawn_images.to(device)]), torch.cat([labels, drawn_labels.to(device)])
