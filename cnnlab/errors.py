"""What went wrong, said to the person at the screen."""


class LabError(Exception):
    """An error whose message is a sentence for a person: what is wrong, and what to do.

    Pages and the command line show the message; anything else that is raised is a bug.
    """


class UnsupportedSystem(LabError, ImportError):
    """The lab does not run on this operating system."""
