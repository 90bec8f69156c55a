"""What all parts of a source have in common: names, whole numbers, and a layer with its arguments."""

import ast
from collections.abc import Mapping
from typing import Any

from cnnlab.models.reading.kinds import KINDS, REQUIRED
from cnnlab.models.reading.network import Arguments, CannotRead, Declared, Span

_LARGEST = 10**9
UNDERSTOOD = (
    "Understood are layers of torch.nn, an nn.Sequential of them, and a class with __init__ and forward that joins "
    "them by calls, +, and torch.cat."
)
# As a learner would say it.
_SAID = {
    ast.For: "a for loop",
    ast.While: "a while loop",
    ast.If: "a condition",
    ast.IfExp: "a condition",
    ast.With: "a with block",
    ast.Try: "a try block",
    ast.Lambda: "a lambda",
    ast.JoinedStr: "an f-string",
    ast.ListComp: "a comprehension",
    ast.SetComp: "a comprehension",
    ast.DictComp: "a comprehension",
    ast.GeneratorExp: "a generator",
    ast.NamedExpr: "a := assignment",
    ast.Starred: "a starred argument",
    ast.Await: "await",
    ast.Yield: "yield",
    ast.YieldFrom: "yield",
    ast.AsyncFunctionDef: "an async function",
    ast.Delete: "del",
    ast.Global: "global",
    ast.Nonlocal: "nonlocal",
    ast.Assert: "assert",
    ast.Raise: "raise",
    ast.Compare: "a comparison",
    ast.BoolOp: "and or or",
    ast.Dict: "a dictionary",
    ast.Set: "a set",
    ast.Subscript: "an index",
    ast.Slice: "a slice",
    ast.Import: "an import",
    ast.ImportFrom: "an import",
    ast.ClassDef: "a class",
    ast.FunctionDef: "a function",
    ast.Call: "this call",
    ast.Attribute: "this attribute",
    ast.Match: "a match statement",
    ast.AugAssign: "this assignment",
    ast.Assign: "this assignment",
}
_USUAL_NAMES = {
    "torch": "torch",
    "nn": "torch.nn",
    "F": "torch.nn.functional",
    "optim": "torch.optim",
    "OrderedDict": "collections.OrderedDict",
    "collections": "collections",
}


def span_of(node: ast.AST) -> Span:
    """Return where a part stands. `in_characters` has made its columns those of the text."""
    line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
    return Span(line, column, getattr(node, "end_lineno", line), getattr(node, "end_col_offset", column))


def in_characters(parsed: ast.AST, text: str) -> None:
    """Count the columns of a source's parts in characters, where `ast` counts bytes."""
    lines = [line.encode() for line in text.split("\n")]
    if any(len(line) != len(plain) for line, plain in zip(lines, text.split("\n"), strict=True)):
        for node in ast.walk(parsed):
            for line, column in (("lineno", "col_offset"), ("end_lineno", "end_col_offset")):
                if (number := getattr(node, line, None)) is not None:
                    setattr(node, column, len(lines[number - 1][: getattr(node, column)].decode()))


def refusal(node: ast.AST, told: str = "") -> CannotRead:
    """Return an error for a part of a source: what it is, or what is told of it, and what is understood."""
    said = told or f"{_SAID.get(type(node), 'this')} is not understood"
    return CannotRead(getattr(node, "lineno", 1), f"{said}. {UNDERSTOOD}")


def imported(node: ast.Import | ast.ImportFrom) -> dict[str, str]:
    """Return what names stand for after an import of torch or of collections; others are refused."""
    if isinstance(node, ast.Import):
        names = {each.asname: each.name for each in node.names if each.asname}
        packages = [each.name.split(".")[0] for each in node.names if not each.asname]
        names |= dict(zip(packages, packages, strict=True))
    else:
        names = {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    for name in names.values():
        if name.split(".")[0] not in ("torch", "torchvision", "collections", "typing", "__future__", "numpy"):
            raise refusal(node, f"{name} is imported, of which the lab reads nothing")
    return names


class Names:
    """What the names of a source stand for: modules of PyTorch, and numbers."""

    def __init__(self, modules: Mapping[str, str] | None = None, numbers: Mapping[str, Any] | None = None) -> None:
        self.modules = {**_USUAL_NAMES, **(modules or {})}
        self.numbers: dict[str, Any] = dict(numbers or {})

    def inside(self) -> "Names":
        """Return the names for the body of a class or a function, which may add its own."""
        return Names(self.modules, self.numbers)

    def dotted(self, node: ast.AST) -> str:
        """Return the full name of what a node names, "torch.nn.Conv2d" for ``nn.Conv2d``; "" if it is no plain name."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        return ".".join([self.modules.get(node.id, node.id), *reversed(parts)])

    def value(self, node: ast.AST) -> Any:
        """Return a number, a text, True, False, None, or several of them, where a node is one; else refuse it."""
        match node:
            case ast.Constant(value=value) if value is None or isinstance(value, bool | int | float | str):
                return self._bounded(node, value)
            case ast.Name(id=name) if name in self.numbers:
                return self.numbers[name]
            case ast.Name(id=name):
                raise refusal(node, f"{name} is not known here")
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self._number(operand)
            case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.FloorDiv() as op, right=right):
                return self._bounded(node, arithmetic(node, op, self._number(left), self._number(right)))
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                return tuple(self.value(part) for part in parts)
            case _:
                raise refusal(node)

    def _number(self, node: ast.AST) -> int | float:
        value = self.value(node)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise refusal(node, f"{value!r} is no number")
        return value

    @staticmethod
    def _bounded(node: ast.AST, value: Any) -> Any:
        if isinstance(value, int | float) and not abs(value) <= _LARGEST:
            raise refusal(node, "this number is too large")
        return value


def arithmetic(node: ast.AST, op: ast.operator, left: float, right: float) -> int | float:
    """Return a sum, difference, product or whole quotient."""
    match op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.FloorDiv() if right:
            return left // right
    raise refusal(node)


def is_call_of(node: ast.AST, names: Names, *full_names: str) -> bool:
    return isinstance(node, ast.Call) and names.dotted(node.func) in full_names


def arguments_for(
    kind: str, given: list[Any], named: dict[str, Any], node: ast.AST, order: tuple[str, ...] = ()
) -> Arguments:
    """Return all arguments of a kind of layer by their names, checked.

    Parameters
    ----------
    given, named
        By place, and by name.
    order
        What the places mean, where that is not the order of the class.
    """
    defaults = KINDS[kind].defaults
    places = order or tuple(defaults)
    if len(given) > len(places):
        raise refusal(node, f"{kind} takes {len(places)} arguments at most, and is given {len(given)}")
    arguments = dict(zip(places, given, strict=False))
    for name, value in named.items():
        if name not in defaults or name in arguments:
            raise refusal(
                node, f"{kind} is given {name} twice" if name in arguments else f"{kind} takes no {name} here"
            )
        arguments[name] = value
    for name, default in defaults.items():
        if name not in arguments:
            if default is REQUIRED:
                raise refusal(node, f"{kind} needs {name}")
            arguments[name] = default
        try:
            arguments[name] = KINDS[kind].checks[name](arguments[name])
        except ValueError as error:
            raise refusal(node, f"{kind} has {name} {arguments[name]!r}; allowed is {error}") from None
    return {name: arguments[name] for name in defaults}


Layers = Declared | list[tuple[str, "Layers"]]  # a layer, or an nn.Sequential's by their names


def layers_of(node: ast.AST, path: str, names: Names) -> Layers:
    """Return the layer that a call makes, or those of an `nn.Sequential`; `path` is its name in the ``state_dict``."""
    if not isinstance(node, ast.Call):
        raise refusal(node, f"a layer is expected here, and not {_SAID.get(type(node), 'this')}")
    name = names.dotted(node.func)
    if name == "torch.nn.Sequential":
        return _sequential(node, path, names)
    kind = name.removeprefix("torch.nn.")
    if not name.startswith("torch.nn.") or kind not in KINDS:
        raise refusal(node, f"{name or 'this'} is no layer that the lab knows; it knows {', '.join(KINDS)}")
    given = [names.value(each) for each in node.args]
    named = {each.arg or "": names.value(each.value) for each in node.keywords}
    order = tuple(name for name in KINDS[kind].defaults if name != "size")
    if "size" in named:
        raise refusal(node, f"{kind} takes no size here")
    places = {
        **{name: span_of(each) for name, each in zip(order, node.args, strict=False)},
        **{each.arg or "": span_of(each.value) for each in node.keywords},
    }
    return Declared(path, kind, arguments_for(kind, given, named, node, order), span_of(node), places)


def _sequential(node: ast.Call, path: str, names: Names) -> list[tuple[str, Layers]]:
    parts: list[tuple[str, ast.AST]] = [(str(place), part) for place, part in enumerate(node.args)]
    if node.keywords:
        raise refusal(node.keywords[0].value, "nn.Sequential takes its layers one after the other, without names")
    if len(parts) == 1 and is_call_of(parts[0][1], names, "collections.OrderedDict"):
        parts = _named_parts(parts[0][1], names)
    return [(key, layers_of(part, f"{path}.{key}" if path else key, names)) for key, part in parts]


def _named_parts(node: ast.AST, names: Names) -> list[tuple[str, ast.AST]]:
    assert isinstance(node, ast.Call)
    pairs: list[tuple[ast.AST, ast.AST]] = []
    match node.args:
        case [ast.List(elts=parts) | ast.Tuple(elts=parts)] if all(
            isinstance(each, ast.Tuple) and len(each.elts) == 2 for each in parts
        ):
            pairs = [(each.elts[0], each.elts[1]) for each in parts if isinstance(each, ast.Tuple)]
        case [ast.Dict(keys=keys, values=values)] if None not in keys:
            pairs = [(key, value) for key, value in zip(keys, values, strict=True) if key]
        case _:
            raise refusal(node, "OrderedDict is understood with a list of pairs, a name and a layer each")
    named = {}
    for key, part in pairs:
        name = names.value(key)
        if not isinstance(name, str) or not name.isidentifier() or name in named:
            raise refusal(key, f"{name!r} cannot name a layer here")
        named[name] = part
    return list(named.items())


def flat(layers: Layers) -> list[Declared]:
    """Return all layers in their order."""
    return [layers] if isinstance(layers, Declared) else [each for _, part in layers for each in flat(part)]
