"""The plan of the house: which room may import from which, and how large a room and a file may be."""

import ast
import re
from functools import cache
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[2] / "cnnlab"
# From the top of the house down: a room imports from itself and from the rooms below it.
ROOMS = (
    "cli",
    "ui/lessons",
    "ui/write",
    "ui/step",
    "ui/compare",
    "ui/sweep",
    "ui/draw",
    "ui/answers",
    "ui/train",
    "ui/film",
    "ui/learners",
    "ui/frame",
    "bench",
    "conclusions",
    "comparison",
    "workers",
    "lessons",
    "sweeps",
    "film",
    "inference",
    "charts",
    "proof",
    "runs/transfer",
    "runs",
    "networks",
    "stepping",
    "fine_tuning",
    "training",
    "engine",
    "models",
    "models/reading",
    "fused",
    "drawing",
    "data",
    "storage",
    "wording",
    "errors",
)
MOST_FILES, MOST_LINES = 9, 400


def room_of(module):
    """Return the room that a module stands in; None for what belongs to the whole house."""
    path = module.removeprefix("cnnlab").replace(".", "/").strip("/")
    around = [room for room in ROOMS if path == room or path.startswith(f"{room}/")]
    return max(around, key=len, default=None)


@cache
def modules():
    """Return the file of each module of the library, by the module's name."""
    paths = (path.relative_to(LIBRARY.parent) for path in LIBRARY.rglob("*.py"))
    return {".".join(path.with_suffix("").parts).removesuffix(".__init__"): LIBRARY.parent / path for path in paths}


@cache
def imports_of(module):
    """Return the modules that a module imports, also inside its functions."""
    found = set()
    for node in ast.walk(ast.parse(modules()[module].read_text(encoding="utf-8"))):
        match node:
            case ast.Import():
                found |= {alias.name for alias in node.names}
            case ast.ImportFrom():
                named = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= {name if name in modules() else node.module for name in named}
    return found


def test_every_module_stands_in_a_room():
    assert {module for module in modules() if room_of(module) is None} == {"cnnlab", "cnnlab.__main__", "cnnlab.ui"}


@pytest.mark.parametrize("module", [module for module in modules() if room_of(module)])
def test_a_module_imports_from_its_own_room_and_those_below(module):
    own = ROOMS.index(room_of(module))
    rooms = {imported: room_of(imported) for imported in imports_of(module) if imported.startswith("cnnlab")}
    assert [imported for imported, room in rooms.items() if room and ROOMS.index(room) < own] == []


def test_no_modules_import_each_other_in_a_circle():
    tuple(TopologicalSorter({module: imports_of(module) for module in modules()}).static_order())


def test_streamlit_is_known_to_the_pages_parts_alone():
    outside = [module for module in modules() if not module.startswith("cnnlab.ui")]
    assert [module for module in outside if any(name.startswith("streamlit") for name in imports_of(module))] == []


def test_fcntl_is_known_to_the_locks_alone():
    assert [module for module in modules() if "fcntl" in imports_of(module)] == ["cnnlab.storage.locks"]


@pytest.mark.parametrize("module", modules())
def test_a_module_that_is_started_by_its_name_is_there(module):
    texts = [node.value for node in ast.walk(ast.parse(modules()[module].read_text(encoding="utf-8"))) if is_text(node)]
    started = [text for text in texts if re.fullmatch(r"cnnlab(\.\w+)+", text)]
    imported = [name for text in texts for name in re.findall(r"(?:from|import) (cnnlab[\w.]*)", text)]
    assert [name for name in started + imported if name not in modules()] == []


def is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_no_room_has_too_many_files():
    rooms = {room: list((LIBRARY / room).glob("*.py")) for room in ROOMS}
    counts = {room: sum(path.name != "__init__.py" for path in files) for room, files in rooms.items()}
    assert {room: count for room, count in counts.items() if count > MOST_FILES} == {}


def test_no_file_is_too_long():
    files = [*modules().values(), *(LIBRARY.parent / "tests").rglob("*.py")]
    lengths = {
        str(path.relative_to(LIBRARY.parent)): len(path.read_text(encoding="utf-8").splitlines()) for path in files
    }
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def test_the_rooms_are_named_once():
    assert all(first != second for first, second in pairwise(sorted(ROOMS)))


def test_the_guide_draws_the_rooms_in_that_order():
    table = (LIBRARY / "guide" / "contributing.md").read_text(encoding="utf-8")
    drawn = re.findall(r"^\| `(\w+)(?:/|\.py)` \|", table.partition("| Room |")[2], re.MULTILINE)
    assert drawn == list(dict.fromkeys(room.partition("/")[0] for room in ROOMS))
    within = re.findall(r"`(\w+)/`", re.search(r"rooms of its own, from the top down: (.*?)\.", table)[1])
    assert within == [room.partition("/")[2] for room in ROOMS if room.startswith("ui/")]
