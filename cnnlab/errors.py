"""What went wrong, said to the person at the screen."""


class LabError(Exception):
    """An error whose message is a sentence for a person: what is wrong, and what to do.

    Pages and the command line show the message; anything else that is raised is a bug.
    """


class NotEnoughMemory(LabError):
    """There is too little memory for what was asked."""


def is_memory_error(error: Exception) -> bool:
    """Return whether an error says that memory has run out: Python's, PyTorch's on the CPU, or a GPU's."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    )


class UnsupportedSystem(LabError, ImportError):
    """The lab does not run on this operating system."""
