"""The engine's modules of JavaScript, joined to what a page can take: one text without imports."""

import re
from pathlib import Path

_FOLDER = Path(__file__).parent
_IMPORT = re.compile(r"^import .*?;\n", re.MULTILINE | re.DOTALL)
_EXPORT = re.compile(r"^export (?!default)", re.MULTILINE)


def joined(*names: str) -> str:
    """Return some of the modules as one, each after those that it imports from; the last one's exports stay.

    All names at their top level must differ. Those of the diagram are named with their folder: "diagram/sum".
    """
    *before, last = [_IMPORT.sub("", (_FOLDER / f"{name}.js").read_text(encoding="utf-8")) for name in names]
    return "\n".join([*(_EXPORT.sub("", text) for text in before), last])
