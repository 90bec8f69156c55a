"""Nothing of a source is ever executed, whatever it says, and what is refused is refused in a sentence."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hostile_sources import SOURCES

pytestmark = pytest.mark.slow

_READ_ALL = """
import json, sys, tracemalloc
from cnnlab.models.reading.network import CannotRead
from cnnlab.models.reading.source import read
from cnnlab.models.reading.understanding import understand
from hostile_sources import SOURCES

def watch(event, arguments):
    # To parse is to compile to a tree, and Python looks for a file of the name "<unknown>" to show a line of an error.
    # All else that a source could do tells of itself by another event.
    if reading and event != "object.__getattr__" and not (event in ("compile", "open") and "<unknown>" in arguments):
        done.append(f"{event} {arguments}")

results, reading, done = [], False, []
sys.addaudithook(watch)
for source in SOURCES:
    tracemalloc.start()
    reading, told = True, None
    try:
        understand(read(source))
    except CannotRead as error:
        told = str(error)
    reading = False
    results.append([told, tracemalloc.get_traced_memory()[1], list(done)])
    tracemalloc.stop()
    done.clear()
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Return what came of each hostile source: what was told, the most memory in bytes, and what was done."""
    root = Path(__file__).parents[4]
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", _READ_ALL],
        cwd=tmp_path_factory.mktemp("nowhere"),
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "tests")])},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(ended.stdout)


def test_there_are_more_than_two_hundred(results):
    assert len(results) == len(SOURCES) > 200


def test_nothing_is_executed_opened_or_imported(results):
    assert [(source[:60], done) for source, (_, _, done) in zip(SOURCES, results, strict=True) if done] == []


def test_each_is_read_or_refused_with_its_line_in_one_sentence(results):
    told = [told for told, _, _ in results if told is not None]
    assert len(told) > 200
    assert all(each.startswith("Line ") and each.isprintable() and len(each) < 700 for each in told)


def test_none_takes_more_memory_than_fifty_megabytes(results):
    assert max(most for _, most, _ in results) < 50_000_000
