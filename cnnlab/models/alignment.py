"""Two sources of one network, laid side by side: which lines of the one do what which lines of the other do."""

import ast
import difflib
import inspect
import textwrap
from dataclasses import dataclass

from cnnlab.data.mnist import IMAGE_SHAPE
from cnnlab.errors import LabError
from cnnlab.models.definitions import Definition
from cnnlab.models.layers import Layer, layers_of_definition


class CannotAlign(LabError):
    """Two definitions do other operations, or are written in a way that the lab cannot take apart."""


@dataclass(frozen=True)
class AlignedRow:
    """Lines of two definitions that do the same.

    Attributes
    ----------
    first, second
        The lines of each of them.
    input_shape, output_shape
        What they take and what they give, without the batch axis.
    """

    first: str
    second: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]


def aligned_rows(first: Definition, second: Definition) -> list[AlignedRow]:
    """Lay the sources of two definitions side by side, in rows that are as short as can be.

    The list in an `nn.Sequential` is taken item by item; the ``forward`` method of a class statement by statement, each
    one below the declarations of the layers that it uses.

    Raises
    ------
    CannotAlign
        If the two do not do the same operations in the same order, or are written in another way.
    CannotTrace
        If the operations of one of them cannot be listed.
    """
    layers, others = layers_of_definition(first), layers_of_definition(second)
    if [layer.kind for layer in layers] != [layer.kind for layer in others]:
        raise CannotAlign(f"{first.title} and {second.title} do not do the same operations in the same order.")
    first_pieces, second_pieces = _pieces(first, layers), _pieces(second, others)
    shapes = [IMAGE_SHAPE, *(layer.output_shape for layer in layers)]
    rows, begin = [], 0
    for end in sorted(first_pieces.keys() & second_pieces.keys()):  # a row ends where both have come equally far
        rows.append(
            AlignedRow(
                first=_between(first_pieces, begin, end),
                second=_between(second_pieces, begin, end),
                input_shape=shapes[begin],
                output_shape=shapes[end],
            )
        )
        begin = end
    return rows


def source_diff(first: str, second: str) -> str:
    """Return the whole of a source, with the lines marked (- and +) that another one leaves out or adds.

    Empty where the two do not differ.
    """
    lines = first.splitlines()
    headings_and_lines = list(difflib.unified_diff(lines, second.splitlines(), lineterm="", n=len(lines)))
    return "\n".join(headings_and_lines[3:])


def _between(pieces: dict[int, str], begin: int, end: int) -> str:
    return "\n".join(code for done, code in pieces.items() if begin < done <= end)


def _pieces(definition: Definition, layers: tuple[Layer, ...]) -> dict[int, str]:
    """Return the source in pieces, each under the number of operations that are done after it."""
    source = definition.source
    match ast.parse(source).body[0]:
        case ast.FunctionDef(body=[ast.Return(value=ast.Call(func=ast.Attribute(attr="Sequential"), args=items))]):
            pieces = _pieces_of_list(source, items, layers)
        case ast.ClassDef() as written:
            pieces = _pieces_of_class(source, written, layers, inspect.getsourcelines(definition.factory)[1])
        case _:
            pieces = {}
    if not pieces or max(pieces) != len(layers):
        raise CannotAlign(
            f"{definition.title} cannot be taken apart: the lab knows how to where the source is one nn.Sequential "
            "with its layers, or a class with a forward method."
        )
    return pieces


def _pieces_of_list(source: str, items: list[ast.expr], layers: tuple[Layer, ...]) -> dict[int, str]:
    pieces, done = {}, 0
    for index, item in enumerate(items):
        done += sum(layer.name.split(".")[0] == str(index) for layer in layers)
        pieces[done] = f"{_code(source, item)},"
    return pieces


def _pieces_of_class(source: str, written: ast.ClassDef, layers: tuple[Layer, ...], first_line: int) -> dict[int, str]:
    methods = {method.name: method.body for method in written.body if isinstance(method, ast.FunctionDef)}
    declarations = {
        target.attr: statement
        for statement in methods.get("__init__", [])
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Attribute)
    }
    pieces, done = {}, 0
    lines: list[str] = []
    for statement in methods.get("forward", []):
        attributes = [node.attr for node in ast.walk(statement) if isinstance(node, ast.Attribute)]
        lines += [_code(source, declarations[name]) for name in attributes if name in declarations]
        lines.append(_code(source, statement))
        begin, end = statement.lineno + first_line - 1, (statement.end_lineno or 0) + first_line - 1
        if operations := sum(layer.line is not None and begin <= layer.line <= end for layer in layers):
            done += operations
            pieces[done] = "\n".join(lines)
            lines = []
    return pieces


def _code(source: str, node: ast.AST) -> str:
    """Return the source of a node, without the comment behind it."""
    return textwrap.dedent(ast.get_source_segment(source, node, padded=True) or "")
