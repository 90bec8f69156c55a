"""Changes the lab's code in one place at a time, and counts the changes that no test notices.

    pip install cosmic-ray coverage
    python tests/benchmarks/mutants.py [ROOM ...] [--most 60] [--seed 0] [--again] [--quick]

Each change is one of cosmic-ray's (a comparison, a number, an operator, a constant turned round), or leaves a call
out. It is tried in a copy of the project. Of the tests of its room and its pages, those that run the changed line are
run first, the quickest before the others, with those that start processes which may run it; then the rest. The first
that fails has noticed it (killed the mutant), and so has one that does not come back in time. What no test noticed is
printed as a line that says where it is and what was changed. Of the changes of a room, ``--most`` are drawn at random.
With ``--again``, those are tried that no test noticed the last time; with ``--quick``, neither pages nor the tests that
are marked as slow are asked, and a room takes two minutes. Changes that change nothing which a person or a program
could see (equivalent mutants) stand in ``harmless.toml``, each with its reason, and are not counted.

PyTorch and Streamlit are imported once: every change is tried in a fork.
"""

import argparse
import ast
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from queue import Queue

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator
from parso.python.tree import Name

ROOT = Path(__file__).parents[2]
PAGES = "tests/pages"
NUMBERS = "tests/pages/numbers"
# What is changed, the tests that should notice, and those of them that run it in processes of their own.
ROOMS = {
    "training": (
        ["cnnlab/training"],
        ["tests/unit/training", f"{PAGES}/test_train.py"],
        [],
    ),
    "data": (["cnnlab/data"], ["tests/unit/data", "tests/unit/storage", "tests/unit/training/test_loop.py"], []),
    "drawing": (
        ["cnnlab/drawing"],
        ["tests/unit/drawing", "tests/unit/inference", f"{NUMBERS}/test_draw.py", f"{PAGES}/test_draw.py"],
        [],
    ),
    "runs": (
        ["cnnlab/runs"],
        [
            *("tests/unit/runs", "tests/unit/storage", "tests/unit/workers/test_work.py"),
            *("tests/unit/workers/test_snapshots.py", f"{NUMBERS}/test_train.py"),
        ],
        [],
    ),
    "workers": (["cnnlab/workers"], ["tests/unit/workers"], ["tests/unit/workers"]),
    "inference": (
        ["cnnlab/inference"],
        ["tests/unit/inference", "tests/unit/comparison", f"{NUMBERS}/test_inspect.py", f"{NUMBERS}/test_draw.py"],
        [],
    ),
    "comparison": (
        ["cnnlab/comparison"],
        ["tests/unit/comparison", f"{NUMBERS}/test_compare.py", f"{PAGES}/test_compare.py"],
        [],
    ),
    "sweeps": (
        ["cnnlab/sweeps"],
        ["tests/unit/sweeps", f"{NUMBERS}/test_sweep.py", f"{PAGES}/test_sweep.py"],
        [],
    ),
    "fused": (["cnnlab/fused"], ["tests/unit/fused", "tests/unit/training/test_loop.py"], []),
    "numbers": (
        ["cnnlab/wording.py", "cnnlab/charts", "cnnlab/ui/train/progress.py", "cnnlab/ui/compare", "cnnlab/ui/answers"],
        [
            *("tests/unit/test_wording.py", "tests/unit/charts", "tests/unit/ui"),
            NUMBERS,
            *(f"{PAGES}/test_{name}.py" for name in ("compare", "draw", "inspect", "train")),
        ],
        [],
    ),
    "steps": (
        ["cnnlab/stepping", "cnnlab/ui/step"],
        ["tests/unit/stepping", "tests/unit/ui/step", f"{NUMBERS}/test_step.py", f"{PAGES}/test_step.py"],
        [],
    ),
    "conclusions": (
        ["cnnlab/conclusions", "cnnlab/ui/sweep/results.py"],
        [
            "tests/unit/conclusions",
            "tests/unit/ui/sweep",
            f"{NUMBERS}/test_sweep.py",
            f"{PAGES}/test_sweep.py",
            f"{NUMBERS}/test_compare.py",
        ],
        [],
    ),
}
OPERATORS = [
    *("AddNot", "NumberReplacer", "ReplaceAndWithOr", "ReplaceOrWithAnd", "ZeroIterationForLoop"),
    *("ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceBreakWithContinue", "ReplaceContinueWithBreak"),
    *(f"ReplaceBinaryOperator_{pair}" for pair in ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Mul")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Eq_NotEq", "NotEq_Eq", "Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Is_IsNot", "IsNot_Is")),
    *("ReplaceUnaryOperator_Delete_Not", "ReplaceUnaryOperator_USub_UAdd"),
]
MOST_SECONDS = 900
PYTEST_OUTPUT = "pytest.txt"
HARMLESS = tomllib.loads((Path(__file__).parent / "harmless.toml").read_text(encoding="utf-8"))


class LeaveCallOut(Operator):
    """Puts None in the place of a call whose result nobody takes."""

    def mutation_positions(self, node):
        is_call = (
            node.type == "atom_expr" and node.children[-1].type == "trailer" and node.children[-1].children[0] == "("
        )
        if is_call and node.parent.type == "simple_stmt":
            yield node.start_pos, node.end_pos

    def mutate(self, node, index):
        return Name("None", node.start_pos, node.get_first_leaf().prefix)

    @classmethod
    def examples(cls):
        return ()


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    path: str
    line: int
    before: str
    after: str

    def __str__(self) -> str:
        _, function, before, after = self.key
        return f"{self.path}:{self.line} {function}: {before}  ->  {after}"

    @property
    def lines(self) -> range:
        """The lines of its statement, without those within it: a test that runs any of them may notice it."""
        statements = [each for each in ast.walk(ast.parse(self.before)) if isinstance(each, ast.stmt)]
        around = [each for each in statements if each.lineno <= self.line <= each.end_lineno]
        statement = max(around, key=lambda each: each.lineno)
        body = getattr(statement, "body", None)
        end = max(body[0].lineno - 1, statement.lineno) if body else statement.end_lineno
        return range(statement.lineno, end + 1)

    @property
    def is_in_a_function(self) -> bool:
        return any(
            node.body[0].lineno <= self.line <= node.end_lineno
            for node in ast.walk(ast.parse(self.before))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        )

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Where it is and what it changes, which stays true when lines move: file, function, line, changed line."""
        pairs = zip(self.before.splitlines(), self.after.splitlines(), strict=False)
        line, (before, after) = next((line, pair) for line, pair in enumerate(pairs, start=1) if pair[0] != pair[1])
        return self.path, _function_at(self.before, line), before.strip(), after.strip()

    @property
    def is_harmless(self) -> bool:
        """Whether the list names it, by itself or with all of its kind."""
        path, _, before, after = self.key
        listed = {(each["file"], each["function"], each["line"], each["changed"]) for each in HARMLESS["change"]}
        return self.key in listed or any(
            fnmatch(path, kind["files"])
            and _without(kind["line"], before) == _without(kind["changed"], after) is not None
            for kind in HARMLESS["kind"]
        )


def _without(pattern: str, line: str) -> str | None:
    """Return a line without what a pattern matches, and without blanks; None if it matches nothing."""
    rest, count = re.subn(pattern, "", line)
    return re.sub(r"\s", "", rest) if count else None


def _function_at(source: str, line: int) -> str:
    """Return the name of the innermost function or class around a line, "" outside all."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    named = [node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]
    begins = {node: min(each.lineno for each in (node, *node.decorator_list)) for node in named}
    around = [node for node in named if begins[node] <= line <= node.end_lineno]
    return max(around, key=lambda node: node.lineno).name if around else ""


def mutants_of(path: str, source: str) -> Iterator[Mutant]:
    operators = [*(get_operator(f"core/{name}")() for name in OPERATORS), LeaveCallOut()]
    for operator in operators:
        positions = [place for node in ast_nodes(get_ast(source)) for place in operator.mutation_positions(node)]
        for occurrence, ((line, column), _) in enumerate(positions):
            if source.splitlines()[line - 1][column:].startswith("*,"):
                continue  # the * of a signature is no product
            code = mutate_code(source, operator, occurrence)
            if code and code != source:
                yield Mutant(path, line, source, code)


class Lane:
    """A copy of the project, and a process that has imported what takes long, which forks for each change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in files.splitlines():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
        self._server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("mutants_forks.py")), str(self.folder / PYTEST_OUTPUT)],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"GOMP_SPINCOUNT": "2000", "PYTHONDONTWRITEBYTECODE": "1"},
        )

    def notices(self, mutant: Mutant, runs: "Runs", in_subprocesses: list[str]) -> bool:
        """Return whether a test fails with a change, or does not end in time: first those that run the line."""
        near = list(dict.fromkeys([*runs.of(mutant), *runs.within(in_subprocesses)]))
        # What is cached runs in the first test alone that asks for it.
        others = runs.quickest_first(runs.seconds.keys() - set(near))
        path = self.folder / mutant.path
        path.write_text(mutant.after, encoding="utf-8")
        try:
            return any(self.fails(tests, runs.most_seconds(tests)) for tests in (near, others) if tests)
        finally:
            path.write_text(mutant.before, encoding="utf-8")

    def passes(self, tests: Sequence[str], most_seconds: float = MOST_SECONDS, told: Path | None = None) -> bool:
        """Return whether these tests pass in time with the files as they are; `told` is where `Runs` are written."""
        return self._exit_code(tests, most_seconds, told) == 0

    def fails(self, tests: Sequence[str], most_seconds: float) -> bool:
        """Return whether one of these tests fails, cannot be imported, brings Python down, or does not end in time."""
        code = self._exit_code(tests, most_seconds, None)
        # Where a file cannot be imported, pytest says of a single test in it that there is none.
        could_import = not any(words in self.output() for words in ("ERROR collecting", "while loading conftest"))
        return code in (1, 2) or code < 0 or (code == 4 and not could_import)

    def _exit_code(self, tests: Sequence[str], most_seconds: float, told: Path | None) -> int:
        self._server.stdin.write(json.dumps([most_seconds, told and str(told), *tests]) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())

    def runs(self, tests: Sequence[str]) -> "Runs | None":
        """Return which lines each test runs; None if one fails."""
        told = self.folder / "runs.json"
        return Runs(**json.loads(told.read_text(encoding="utf-8"))) if self.passes(tests, told=told) else None

    def files(self, source: str) -> dict[str, str]:
        """Return the content of a file, or of those in a folder, by their paths in the project."""
        path = self.folder / source
        found = [path] if path.is_file() else sorted(path.rglob("*.py"))
        return {str(each.relative_to(self.folder)): each.read_text(encoding="utf-8") for each in found}

    def output(self) -> str:
        """Return what pytest has said of the last tests."""
        return (self.folder / PYTEST_OUTPUT).read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        self._server.stdin.close()
        self._server.wait()


@dataclass(frozen=True)
class Runs:
    """Which tests run which lines, in the process of the tests.

    Attributes
    ----------
    tests
        By file and line, the tests that run it.
    seconds
        How long each test takes.
    """

    tests: dict[str, dict[str, list[str]]]
    seconds: dict[str, float]

    def of(self, mutant: Mutant) -> list[str]:
        """Return the tests that run a changed line, the quickest first; all, where it is run when it is imported."""
        if not mutant.is_in_a_function:
            return self.quickest_first(self.seconds)
        by_line = self.tests.get(mutant.path, {})
        found = {test for line in mutant.lines for test in by_line.get(str(line), [])}
        return self.quickest_first(found & self.seconds.keys())

    def within(self, paths: Sequence[str]) -> list[str]:
        """Return the tests in some files and folders, the quickest first."""
        return self.quickest_first(test for test in self.seconds if test.startswith(tuple(paths)))

    def most_seconds(self, tests: Iterable[str]) -> float:
        """Return how long these tests may take."""
        return 30 + 4 * sum(self.seconds[test] for test in tests)

    def quickest_first(self, tests: Iterable[str]) -> list[str]:
        return sorted(tests, key=self.seconds.__getitem__)


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("rooms", nargs="*", default=list(ROOMS), choices=[*ROOMS, []])
    arguments.add_argument("--most", type=int, default=60, help="changes of a room that are tried")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--lanes", type=int, default=2)
    arguments.add_argument("--again", action="store_true", help="try only those that no test noticed the last time")
    arguments.add_argument("--quick", action="store_true", help="ask no pages, and no test that is marked as slow")
    arguments.add_argument(
        "--survivors",
        type=Path,
        default=Path(tempfile.gettempdir()) / "cnnlab-mutants.json",
        help="the file that keeps which changes no test noticed",
    )
    chosen = arguments.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        lanes: Queue[Lane] = Queue()
        for number in range(chosen.lanes):
            lanes.put(Lane(Path(folder) / str(number)))

        def try_one(mutant: Mutant, runs: Runs, in_subprocesses: list[str]) -> tuple[Mutant, bool]:
            lane = lanes.get()
            try:
                return mutant, lane.notices(mutant, runs, in_subprocesses)
            finally:
                lanes.put(lane)

        with ThreadPoolExecutor(chosen.lanes) as pool:
            for room in chosen.rooms:
                sources, tests, in_subprocesses = ROOMS[room]
                if chosen.quick:
                    tests = ["-m", "not slow", *(each for each in tests if not each.startswith(PAGES))]
                lane = lanes.get()
                files = {path: text for source in sources for path, text in lane.files(source).items()}
                found = [mutant for path, text in files.items() for mutant in mutants_of(path, text)]
                kept = json.loads(chosen.survivors.read_text("utf-8")) if chosen.survivors.exists() else {}
                if chosen.again:
                    drawn = [mutant for mutant in found if list(mutant.key) in kept.get(room, [])]
                else:
                    drawn = random.Random(chosen.seed).sample(found, min(chosen.most, len(found)))
                counted = [mutant for mutant in drawn if not mutant.is_harmless]
                started = time.monotonic()
                runs = lane.runs(tests)
                if runs is None or not lane.passes(runs.quickest_first(runs.seconds)):
                    sys.exit(f"{lane.output()[-3_000:]}\n{room}: its tests fail without any change.")
                lanes.put(lane)
                survivors = []
                trying = pool.map(partial(try_one, runs=runs, in_subprocesses=in_subprocesses), counted)
                for number, (mutant, is_noticed) in enumerate(trying, start=1):
                    print(f"{number} of {len(counted)} tried\r", end="", file=sys.stderr, flush=True)
                    if not is_noticed:
                        survivors.append(mutant)
                        print(f"  {mutant}", flush=True)
                kept[room] = [list(each.key) for each in survivors]
                chosen.survivors.write_text(json.dumps(kept, indent=1), encoding="utf-8")
                noticed = len(counted) - len(survivors)
                print(
                    f"{room}: {noticed} of {len(counted)} noticed ({100 * noticed / max(1, len(counted)):.0f} %); of "
                    f"{len(found)} changes {len(drawn)} were drawn, {len(drawn) - len(counted)} harmless; "
                    f"{time.monotonic() - started:.0f} s",
                    flush=True,
                )
        while not lanes.empty():
            with suppress(BrokenPipeError):
                lanes.get().close()


if __name__ == "__main__":
    main()
