import json

import pytest
from click.testing import CliRunner
from own_digits import own_digits

from cnnlab.cli.main import main
from cnnlab.drawing.my_digits import digits_in, lines_of
from cnnlab.fine_tuning.recipe import parted
from cnnlab.inference.answers import right_of
from cnnlab.runs.shelf import all_runs, find_run


def file_of(path, count):
    path.write_bytes(lines_of(own_digits(count)))
    return path


@pytest.mark.slow
def test_a_new_run_is_trained_and_asked_about_the_digits_that_were_held_out(tmp_path, monkeypatch, few_pen_digits):
    path = file_of(tmp_path / "mine.jsonl", 40)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    result = CliRunner().invoke(main, ["fine-tune", "reference-sequential", str(path), "--json"])
    assert result.exit_code == 0, result.output
    (run,) = all_runs()
    told = json.loads(result.stdout.splitlines()[-1])
    own = digits_in(path.read_bytes())
    held_out = own.without(parted(own.digits)[0])
    assert told == {
        "event": "held out",
        "digits": len(held_out),
        "right_before": right_of(find_run("reference-sequential"), held_out),
        "right_after": right_of(run, held_out),
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"{}\n", "Line 1 is not a digit"), (b"", "has 0 lines"), (None, "cannot be read (No such file or directory)")],
)
def test_a_file_that_is_none_is_refused(tmp_path, content, words):
    if content is not None:
        (tmp_path / "mine.jsonl").write_bytes(content)
    result = CliRunner().invoke(main, ["fine-tune", "reference-sequential", str(tmp_path / "mine.jsonl")])
    assert result.exit_code == 2
    assert words in result.stderr
    assert all_runs() == []


def test_too_few_digits_and_an_unknown_run_are_refused(tmp_path):
    for run_id, count, words in (("reference-sequential", 8, "it takes 10 or more"), ("nobody", 40, "There is no run")):
        result = CliRunner().invoke(main, ["fine-tune", run_id, str(file_of(tmp_path / "mine.jsonl", count))])
        assert result.exit_code == 2
        assert words in result.stderr
