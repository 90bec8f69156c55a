import ast
import signal
import time
from pathlib import Path

import pytest

from cnnlab.workers import child
from cnnlab.workers.child import start_first_worker, worker_process

PROJECT = Path(__file__).parents[3]
PAGES = (PROJECT / "app.py", *sorted((PROJECT / "pages").glob("*.py")))


@pytest.fixture
def started(monkeypatch):
    """Return the children that are started, which do nothing and are ended after the test."""
    children = []

    def start():
        children.append(child.Child("-c", "input()"))
        return children[-1]

    monkeypatch.setattr(child, "_new_worker", start)
    yield children
    for each in children:
        each.abandon()
        each.wait_until(time.monotonic())


@pytest.mark.parametrize(
    ("code", "seconds", "exit_code"), [("import signal; signal.pause()", 0.1, -signal.SIGKILL), ("", 60, 0)]
)
def test_a_child_that_has_not_ended_at_a_deadline_is_killed(code, seconds, exit_code):
    each = child.Child("-c", code)
    each.wait_until(time.monotonic() + seconds)
    each.abandon()
    assert each.exit_code == exit_code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_page_starts_the_first_worker_before_it_imports_anything_else(page):
    _docstring, first, second, *_ = ast.parse(page.read_text(encoding="utf-8")).body
    assert ast.unparse(first) == "from cnnlab.workers.child import start_first_worker"
    assert ast.unparse(second) == "start_first_worker()"


def test_the_first_worker_is_the_one_that_was_started_early(started):
    start_first_worker()
    start_first_worker()
    assert len(started) == 1
    assert worker_process() is started[0]
    assert worker_process() is started[1]


def test_no_first_worker_is_started_once_there_was_one(started):
    worker_process()
    start_first_worker()
    assert len(started) == 1


def test_no_worker_is_started_for_a_lab_that_trains_on_a_cluster(started, monkeypatch):
    monkeypatch.setenv("CNNLAB_RAY_ADDRESS", "auto")
    start_first_worker()
    assert started == []


def test_a_home_that_cannot_be_written_is_left_for_the_scheduler_to_tell(started, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CNNLAB_HOME", str(tmp_path / "file" / "home"))
    start_first_worker()
    assert started == []
