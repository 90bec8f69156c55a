import signal

import pytest

from cnnlab.inference import onnx_file
from cnnlab.inference.onnx_file import CannotWriteONNX, run_as_onnx_elsewhere
from cnnlab.runs.shelf import find_run


@pytest.fixture
def run():
    return find_run("reference-module")


@pytest.fixture
def started(monkeypatch):
    """Return a function that has the process run other code, which finds the file's path; and what was started."""
    start, processes = onnx_file.start_python, []

    def let_run(code):
        def start_it(*arguments, **given):
            processes.append(start("-c", f"import sys; path = sys.argv[1]; {code}", arguments[-1], **given))
            return processes[-1]

        monkeypatch.setattr(onnx_file, "start_python", start_it)
        return processes

    return let_run


def test_a_process_that_does_not_end_is_ended(run, started, monkeypatch):
    processes = started("import signal; signal.pause()")
    monkeypatch.setattr(onnx_file, "_MOST_SECONDS", 0.1)
    with pytest.raises(CannotWriteONNX, match=rf"^{run.name} was not written as ONNX within 0\.1 s\.$"):
        run_as_onnx_elsewhere(run)
    assert [process.returncode for process in processes] == [-signal.SIGKILL]


def test_the_file_is_what_the_process_wrote(run, started):
    started("open(path, 'wb').write(b'the network')")
    assert run_as_onnx_elsewhere(run) == b"the network"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("pass", "{name} was not written."),
        ("open(path, 'w').close(); sys.exit(1)", "{name} was not written."),
        ("open(path, 'w').close(); sys.exit('first\\nError: last')", "last"),
    ],
)
def test_a_process_that_fails_or_writes_nothing_is_told_of_by_its_last_line(run, started, code, told):
    started(code)
    with pytest.raises(CannotWriteONNX) as error:
        run_as_onnx_elsewhere(run)
    assert str(error.value) == told.format(name=run.name)
