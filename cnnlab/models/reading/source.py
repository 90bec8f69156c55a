"""From the text of a source to a network.

The text is parsed by `ast` and never executed: what is not understood is refused with its line.
"""

import ast
import warnings
from typing import Any

from cnnlab.models.reading.expressions import (
    Names,
    flat,
    imported,
    in_characters,
    is_call_of,
    layers_of,
    refusal,
    span_of,
)
from cnnlab.models.reading.forward import Class, steps_of
from cnnlab.models.reading.network import IMAGE, CannotRead, Declared, Network, Step

MOST_CHARACTERS = 20_000
MOST_LAYERS = 100
_SEQUENTIAL = "torch.nn.Sequential"
_PASSED_OVER = ("torch.optim.", "torch.device", "torch.manual_seed", "print")


def read(text: str) -> Network:
    """Read a network.

    Parameters
    ----------
    text
        An `nn.Sequential`, as an expression, an assignment or what a function returns, or a class with ``__init__`` and
        ``forward``. Imports of torch, a loss function and an optimizer may stand around it.

    Raises
    ------
    CannotRead
        If it is none that the lab understands, which says the line.
    """
    if len(text) > MOST_CHARACTERS:
        raise CannotRead(1, f"the source has {len(text):,} characters; at most {MOST_CHARACTERS:,} are read.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a text in it may mean
            parsed = ast.parse(text)
        in_characters(parsed, text)
        network = _network_in(parsed)
    except SyntaxError as error:
        raise CannotRead(error.lineno or 1, f"Python does not understand this ({error.msg}).") from None
    except (RecursionError, MemoryError):
        raise CannotRead(1, "it is nested too deeply to be read.") from None
    except ValueError as error:  # of a text that is none: NULs, halves of characters
        raise CannotRead(1, f"Python cannot read this text ({error}).") from None
    if len(network.steps) > MOST_LAYERS:
        told = f"the network has {len(network.steps)} layers; at most {MOST_LAYERS} are read."
        raise CannotRead(network.steps[MOST_LAYERS].line, told)
    return network


def _network_in(parsed: ast.Module) -> Network:
    names = Names()
    found: list[Network] = []
    for statement in parsed.body:
        match statement:
            case ast.Import() | ast.ImportFrom():
                names.modules.update(imported(statement))
            case ast.ClassDef():
                found.append(_network_of_class(statement, names))
            case ast.FunctionDef():
                found.append(_network_of_function(statement, names))
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                pass
            case ast.Expr(value=ast.Call() as call) if is_call_of(call, names, _SEQUENTIAL):
                found.append(_network_of_list(call, "", names))
            case ast.Expr(value=ast.Call() as call) if names.dotted(call.func).startswith(_PASSED_OVER):
                pass
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                _take_assignment(name, value, names, found)
            case _:
                raise refusal(statement)
    if len(found) > 1:
        raise CannotRead(found[1].line, "a second network begins here: keep one.")
    if not found:
        raise CannotRead(1, "no network stands here: write an nn.Sequential, or a class with a forward method.")
    return found[0]


def _take_assignment(name: str, value: ast.expr, names: Names, found: list[Network]) -> None:
    while isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in ("to", "cuda"):
        value = value.func.value  # where it is computed is the lab's to decide
    if is_call_of(value, names, _SEQUENTIAL) and isinstance(value, ast.Call):
        found.append(_network_of_list(value, name, names))
        return
    if isinstance(value, ast.Call):
        called = names.dotted(value.func)
        is_loss = called.startswith("torch.nn.") and called.endswith("Loss")
        if is_loss or called.startswith(_PASSED_OVER) or called in {network.name for network in found}:
            return
    names.numbers[name] = names.value(value)


def _network_of_list(call: ast.Call, name: str, names: Names) -> Network:
    declared = flat(layers_of(call, "", names))
    if not declared:
        raise refusal(call, "this nn.Sequential has no layers")
    inputs = [IMAGE, *range(len(declared) - 1)]
    steps = [
        Step(each.kind, each.arguments, (before,), each.span, None, each.path)
        for before, each in zip(inputs, declared, strict=True)
    ]
    return Network("sequential", name, tuple(declared), tuple(steps), True, None, call.lineno)


def _numbers_by_default(arguments: ast.arguments, names: Names, skip: int) -> dict[str, Any]:
    """Return the numbers that parameters stand for: their defaults."""
    rest = arguments.args[skip:]
    if arguments.vararg or arguments.kwarg or arguments.posonlyargs or arguments.kwonlyargs:
        raise CannotRead(arguments.args[0].lineno if arguments.args else 1, "only plain parameters are understood.")
    if len(arguments.defaults) < len(rest):
        raise refusal(rest[0], f"{rest[0].arg} needs a default here: nobody can give it a value")
    return {each.arg: names.value(value) for each, value in zip(rest, arguments.defaults, strict=True)}


def _network_of_function(function: ast.FunctionDef, names: Names) -> Network:
    if function.decorator_list:
        raise refusal(function.decorator_list[0], "a decorator is not understood")
    names = names.inside()
    names.numbers.update(_numbers_by_default(function.args, names, skip=0))
    for statement in function.body:
        match statement:
            case ast.Expr(value=ast.Constant()):
                pass
            case ast.Return(value=ast.Call() as call) if is_call_of(call, names, _SEQUENTIAL):
                return _network_of_list(call, function.name, names)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found: list[Network] = []
                _take_assignment(name, value, names, found)
                if found:
                    return found[0]
            case _:
                raise refusal(statement)
    raise refusal(function, f"{function.name} returns no nn.Sequential")


def _network_of_class(node: ast.ClassDef, names: Names) -> Network:
    if node.decorator_list or node.keywords:
        raise refusal(node, "a decorated class, or one with a metaclass, is not understood")
    if [names.dotted(base) for base in node.bases] != ["torch.nn.Module"]:
        raise refusal(node, f"{node.name} must inherit from nn.Module alone")
    methods: dict[str, ast.FunctionDef] = {}
    for statement in node.body:
        match statement:
            case ast.FunctionDef(name="__init__" | "forward" as name, decorator_list=[]):
                methods[name] = statement
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                pass
            case ast.FunctionDef(name=name):
                raise refusal(statement, f"of a class, __init__ and forward are read, and not {name}")
            case _:
                raise refusal(statement)
    if "forward" not in methods:
        raise refusal(node, f"{node.name} has no forward method, which says how its layers are joined")
    made = Class(names)
    if "__init__" in methods:
        _read_init(methods["__init__"], made)
    declared: list[Declared] = []
    for layers in made.layers.values():
        declared += flat(layers)
    steps = steps_of(methods["forward"], made)
    init = span_of(methods["__init__"].body[0]).start if "__init__" in methods else None
    return Network("module", node.name, tuple(declared), tuple(steps), made.calls_super, init, node.lineno)


def _read_init(function: ast.FunctionDef, made: Class) -> None:
    names = made.names.inside()  # what it names is not known in forward
    names.numbers.update(_numbers_by_default(function.args, names, skip=1))
    for statement in function.body:
        match statement:
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                pass
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=parent, attr="__init__"))) if (
                is_call_of(parent, names, "super") or names.dotted(parent) == "torch.nn.Module"
            ):
                made.calls_super = True
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=attribute)], value=value):
                if attribute in made.layers or attribute in made.numbers:
                    raise refusal(statement, f"self.{attribute} is assigned twice")
                if isinstance(value, ast.Call):
                    made.layers[attribute] = layers_of(value, attribute, names)
                else:
                    made.numbers[attribute] = names.value(value)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                names.numbers[name] = names.value(value)
            case _:
                raise refusal(statement)
