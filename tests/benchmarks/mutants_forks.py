"""Runs tests for `mutants.py`, each time in a fork of a process that has imported what takes long.

It reads lines of JSON, of the seconds that the tests may take, a path or null, and the tests; and answers each with
their exit code; what pytest says of them is in the file that is named when this is started. Where there is a path, it
writes there which tests run which lines, and how long each takes.
"""

# ruff: noqa: F401
import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import altair
import click
import coverage
import hypothesis
import numpy
import optuna
import pandas
import PIL.Image
import plotly.graph_objects
import pytest
import safetensors.torch
import streamlit
import streamlit.testing.v1
import torch
import torch.fx


class Tracing:
    """Notes which lines each test runs in this process."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.seconds: dict[str, float] = {}
        self.coverage = coverage.Coverage(data_file=None, source=["cnnlab"], config_file=False)
        self.coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        self.coverage.switch_context(item.nodeid)
        began = time.monotonic()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = time.monotonic() - began

    def pytest_sessionfinish(self):
        self.coverage.stop()
        data = self.coverage.get_data()
        tests = {os.path.relpath(file): data.contexts_by_lineno(file) for file in data.measured_files()}
        Path(self.path).write_text(json.dumps({"tests": tests, "seconds": self.seconds}), encoding="utf-8")


def run_tests(tests: list[str], path: str | None) -> int:
    """Run tests, in a group of processes of its own, and return pytest's exit code."""
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), 1)
    os.dup2(1, 2)
    sys.path.insert(0, str(Path.cwd()))
    options = ["-x", "-q", "-p", "no:cacheprovider", "--timeout=90"]
    return int(pytest.main([*options, *tests], [Tracing(path)] if path else []))


def exit_code_of(child: int, most_seconds: float) -> int:
    """Wait for a fork, and end it when its time is over; what it has started goes with it."""
    deadline = time.monotonic() + most_seconds
    ended, status = 0, 0
    while not ended:
        ended, status = os.waitpid(child, os.WNOHANG)
        if not ended and time.monotonic() > deadline:
            os.killpg(child, signal.SIGKILL)
        time.sleep(0.02)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(status)


def main() -> None:
    for line in sys.stdin:
        seconds, path, *tests = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(run_tests(tests, path))
        os.write(1, f"{exit_code_of(child, seconds)}\n".encode())


if __name__ == "__main__":
    main()
