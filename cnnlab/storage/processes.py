"""Starts Python processes of the lab, which find its code and share its home."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from cnnlab.storage.home import home

_PROJECT = Path(__file__).parents[2]


def start_python(
    *arguments: str,
    stdin: int,
    stdout: IO[bytes] | int,
    stderr: IO[bytes],
    environment: Mapping[str, str] = os.environ,
    pass_fds: tuple[int, ...] = (),
) -> subprocess.Popen[Any]:
    """Start this Python with some arguments.

    Parameters
    ----------
    stdin, stdout, stderr, pass_fds
        As `subprocess.Popen` takes them.
    environment
        What the process finds in its environment. The lab's code is added, and this process's home unless it names one.
    """
    lab_home = Path(environment.get("CNNLAB_HOME") or home()).absolute()
    code = os.pathsep.join(filter(None, [str(_PROJECT), environment.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=pass_fds,
        start_new_session=True,  # a Ctrl-C in the terminal is for the process that started it to handle
        env={**environment, "PYTHONPATH": code, "CNNLAB_HOME": str(lab_home)},
    )
