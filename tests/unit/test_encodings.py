import ast
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
FILES = [PROJECT / "app.py", *(PROJECT / "pages").glob("*.py"), *(PROJECT / "cnnlab").rglob("*.py")]


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_text_is_read_and_written_in_an_encoding_that_is_named(path):
    unnamed = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or any(keyword.arg == "encoding" for keyword in node.keywords):
            continue
        match node.func:
            case ast.Attribute(attr="read_text" | "write_text"):
                unnamed.append(node.lineno)
            case ast.Attribute(value=ast.Name(id=name), attr="open") if name not in (
                "Image",
                "archive",
            ):  # which read bytes
                modes = [each.value for each in node.args if isinstance(each, ast.Constant)]
                if not any("b" in mode for mode in modes):
                    unnamed.append(node.lineno)
    assert unnamed == []
