"""The thread in which the dashboard's networks compute."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import torch

from cnnlab.errors import NotEnoughMemory, is_memory_error

Given = ParamSpec("Given")
Answer = TypeVar("Answer")


def _begin() -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # as in a worker, so that a step here is the same to the bit


# One thread for all pages, which leaves the other cores to what trains. Python waits for it at the end of the process;
# a page's own thread would be killed inside PyTorch's code, which aborts the process. Networks are traced in it
# too: while PyTorch traces one, calling any other fails.
_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="asking", initializer=_begin)


def ask(function: Callable[Given, Answer], *arguments: Given.args, **keywords: Given.kwargs) -> Answer:
    """Call a function that uses PyTorch, after those that other pages have called.

    Raises
    ------
    NotEnoughMemory
        If memory has run out.
    """
    try:
        return _thread.submit(function, *arguments, **keywords).result()
    except Exception as error:
        if is_memory_error(error):
            raise NotEnoughMemory(
                "There is not enough memory for this now: close other programs, or stop runs that train."
            ) from error
        raise
