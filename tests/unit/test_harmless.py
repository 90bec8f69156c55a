"""The list of changes that nobody can notice names what is there."""

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
LIST = tomllib.loads((PROJECT / "tests" / "benchmarks" / "harmless.toml").read_text(encoding="utf-8"))
LINES = {
    str(path.relative_to(PROJECT)): {line.strip() for line in path.read_text(encoding="utf-8").splitlines()}
    for path in (PROJECT / "cnnlab").rglob("*.py")
}


@pytest.mark.parametrize("change", LIST["change"], ids=lambda change: f"{change['file']}: {change['changed']}")
def test_a_line_that_may_be_changed_is_there(change):
    assert change["line"] in LINES[change["file"]]


@pytest.mark.parametrize("kind", LIST["kind"], ids=lambda kind: kind["line"])
def test_a_kind_of_changes_has_a_line_to_change(kind):
    lines = set().union(*(found for path, found in LINES.items() if fnmatch(path, kind["files"])))
    assert any(re.search(kind["line"], line) for line in lines)
