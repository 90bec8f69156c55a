"""The threads that work on a batch, and what each of them does with its slice."""

import ctypes
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from cnnlab.fused.compiler import kernel_of

SOURCE = Path(__file__).with_name("team.c")

# A function of a kernel, and what it is called with beside the number of a slice.
Call = tuple[Any, ctypes.Structure]


class _Stage(ctypes.Structure):
    _fields_ = (("work", ctypes.c_void_p), ("call", ctypes.c_void_p))


class _Work(ctypes.Structure):
    """The ``Work`` of team.c, which is compiled only if it has the same size."""

    _fields_ = (
        ("stages", ctypes.c_void_p),
        ("at_the_end", _Stage),
        *((name, ctypes.c_int32) for name in ("count", "slices", "taken", "done")),
    )


class TeamWork:
    """Work for a team: each slice of a batch goes through all stages, and then something is done once.

    Parameters
    ----------
    stages
        The functions, in order, with what they are called with, which may change from one time to the next.
    threads
        How many work on it, which is how many slices there are.
    at_the_end
        What the thread does that ends the last slice.

    Raises
    ------
    CannotFuse
        If the team cannot be made here.
    """

    def __init__(self, stages: Sequence[Call], threads: int, at_the_end: Call | None = None) -> None:
        self._kept = stages, at_the_end
        self._stages = (_Stage * len(stages))(*map(_stage_of, stages))
        self._work = _Work(ctypes.addressof(self._stages), _Stage(), len(stages), threads, 0, 0)
        if at_the_end:
            self._work.at_the_end = _stage_of(at_the_end)
        self._threads = threads
        self._function = kernel_of(SOURCE, _Work).work

    def do(self) -> None:
        """Do it all once."""
        self._work.taken = self._work.done = 0
        team = _openmp_team()
        if self._threads > 1 and team:
            team(self._function, ctypes.byref(self._work), self._threads, 0)
        else:
            self._function(ctypes.byref(self._work))  # takes one slice after the other


def run_in_team(stages: Sequence[Call], threads: int) -> None:
    """Do some work once; `TeamWork` says what that is."""
    TeamWork(stages, threads).do()


def _stage_of(call: Call) -> _Stage:
    function, argument = call
    return _Stage(ctypes.cast(function, ctypes.c_void_p), ctypes.addressof(argument))


@cache
def _openmp_team() -> Callable[..., None] | None:
    """Return the entry of the OpenMP library that PyTorch has loaded, if it can be found.

    ``GOMP_parallel(function, data, threads, flags)`` has the threads that also work for PyTorch call a function. A team
    of the kernel's own would have to compete with them for the cores.
    """
    return getattr(ctypes.CDLL(None), "GOMP_parallel", None)
