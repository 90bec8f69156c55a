"""The nearest of many directions, for a few questions without looking at all numbers of each."""

import torch
from torch import Tensor

_AXES = 96
_FEW = 8  # questions; more are faster by one product of matrices
_ROUNDING = 1e-5  # of a cosine


class Directions:
    """Directions, kept so that the nearest ones are found fast.

    With the axes along which they lie most, the cosine of two directions u and v is u₁·v₁ + u₂·v₂: the first term
    along those axes, the second across them, which is at most ‖u₂‖ ‖v₂‖ (Cauchy and Schwarz). So few numbers of each
    bound its cosine from both sides, and most cannot be among the nearest.

    Attributes
    ----------
    nbytes
        The memory that they take.
    """

    def __init__(self, directions: Tensor) -> None:
        """Keep directions, shape (M, features), each of length 1."""
        self._all = directions.half()
        rounded = self._all.float()
        _, axes = torch.linalg.eigh(rounded.T @ rounded)  # the least first
        self._axes = axes[:, -_AXES:].contiguous()
        self._along = rounded @ self._axes
        self._across = _lengths_left(rounded, self._along)

    @property
    def nbytes(self) -> int:
        return sum(each.nbytes for each in (self._all, self._axes, self._along, self._across))

    def nearest_cosines(self, directions: Tensor, count: int) -> Tensor:
        """Return the cosines to the nearest, the greatest first.

        Parameters
        ----------
        directions
            Shape (N, features), float32, each of length 1.

        Returns
        -------
        Tensor
            Shape (N, count), float32.
        """
        if not 0 < len(directions) <= _FEW:
            return (directions @ self._all.float().T).topk(count, dim=1).values
        return torch.stack([self._nearest_to(direction, count) for direction in directions])

    def _nearest_to(self, direction: Tensor, count: int) -> Tensor:
        along = direction @ self._axes
        middle = self._along @ along
        slack = _lengths_left(direction, along) * self._across + _ROUNDING
        least = (middle - slack).topk(count).values[-1]
        possible = (middle + slack >= least).nonzero().squeeze(1)
        return (self._all[possible].float() @ direction).topk(count).values


def _lengths_left(directions: Tensor, along: Tensor) -> Tensor:
    """Return how long what lies across the axes is."""
    return (directions.square().sum(dim=-1) - along.square().sum(dim=-1)).clamp(min=0).sqrt()
