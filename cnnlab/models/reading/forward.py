"""What the forward method of a class computes, step by step."""

import ast
from dataclasses import dataclass, field, replace
from typing import Any

from cnnlab.models.reading.expressions import Layers, Names, arguments_for, arithmetic, layers_of, refusal, span_of
from cnnlab.models.reading.kinds import HAS_NUMBERS, KINDS
from cnnlab.models.reading.network import IMAGE, Declared, Step

_DROPOUT = ("p", "training", "inplace")
_POOL = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
_AVERAGE = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
# Functions of torch and of torch.nn.functional, what each does, and what its places after the first mean.
_FUNCTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "relu": ("ReLU", ("inplace",)),
    "relu_": ("ReLU", ("inplace",)),
    "silu": ("SiLU", ("inplace",)),
    "tanh": ("Tanh", ()),
    "leaky_relu": ("LeakyReLU", ("negative_slope", "inplace")),
    "gelu": ("GELU", ("approximate",)),
    "sigmoid": ("Sigmoid", ()),
    "dropout": ("Dropout", _DROPOUT),
    "dropout2d": ("Dropout2d", _DROPOUT),
    "max_pool2d": ("MaxPool2d", _POOL),
    "avg_pool2d": ("AvgPool2d", _AVERAGE),
    "adaptive_avg_pool2d": ("AdaptiveAvgPool2d", ("output_size",)),
    "pad": ("ZeroPad2d", ("padding",)),
    "softmax": ("Softmax", ("dim",)),
    "log_softmax": ("LogSoftmax", ("dim",)),
    "flatten": ("Flatten", ("start_dim", "end_dim")),
}
_METHODS = ("relu", "relu_", "tanh", "sigmoid", "softmax", "log_softmax", "flatten")
_SAME = ("contiguous", "clone")


@dataclass(frozen=True)
class _Result:
    """What a step gives for a batch of images."""

    place: int


@dataclass(frozen=True)
class _Of:
    """What can be asked of a result: "size", all its sides; "first", what it is for the first image."""

    what: str
    place: int


_BATCH = _Of("batch", IMAGE)
_TRAINING = _Of("training", IMAGE)


@dataclass
class Class:
    """What a class has made before an image comes.

    Attributes
    ----------
    names
        What names stand for around it.
    layers, numbers
        Its attributes.
    calls_super
        Whether it calls ``super().__init__()``.
    """

    names: Names
    layers: dict[str, Layers] = field(default_factory=dict)
    numbers: dict[str, Any] = field(default_factory=dict)
    calls_super: bool = False


def steps_of(function: ast.FunctionDef, made: Class) -> list[Step]:
    """Return the steps of a forward method, those on the way to what it returns.

    Raises
    ------
    CannotRead
        If it does something else than joining layers.
    """
    plain = function.args
    if len(plain.args) != 2 or plain.vararg or plain.kwarg or plain.kwonlyargs or plain.posonlyargs:
        raise refusal(function, "forward must take self and one image")
    forward = _Forward(made, {plain.args[1].arg: _Result(IMAGE)})
    for statement in function.body:
        match statement:
            case ast.Return(value=ast.expr() as value):
                result = forward.value(value)
                if not isinstance(result, _Result) or result.place == IMAGE:
                    raise refusal(statement, "forward must return what its last layer gives")
                return _on_the_way(forward.steps, result.place)
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                forward.known[name] = forward.value(value)
            case ast.AugAssign(target=ast.Name(id=name) as target, op=ast.Add() as op, value=value):
                known = forward.value(ast.copy_location(ast.Name(target.id, ast.Load()), target))
                forward.known[name] = forward.joined(statement, op, known, forward.value(value), in_place=True)
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                pass
            case _:
                raise refusal(statement)
    raise refusal(function, "forward returns nothing")


def _on_the_way(steps: list[Step], last: int) -> list[Step]:
    """Return the steps that the last needs, with new places."""
    needed, waiting = set(), [last]
    while waiting:
        place = waiting.pop()
        if place != IMAGE and place not in needed:
            needed.add(place)
            waiting += steps[place].inputs
    places = {place: number for number, place in enumerate(sorted(needed))} | {IMAGE: IMAGE}
    return [
        replace(step, inputs=tuple(places[each] for each in step.inputs))
        for step in (steps[place] for place in sorted(needed))
    ]


@dataclass
class _Forward:
    made: Class
    known: dict[str, Any]
    steps: list[Step] = field(default_factory=list)

    def value(self, node: ast.AST) -> Any:
        match node:
            case ast.Name(id=name) if name in self.known:
                return self.known[name]
            case ast.Attribute(value=ast.Name(id="self"), attr="training"):
                return _TRAINING
            case ast.Attribute(value=ast.Name(id="self"), attr=attribute) if attribute in self.made.numbers:
                return self.made.numbers[attribute]
            case ast.Attribute(value=value, attr="shape"):
                return _Of("size", self._result(value).place)
            case ast.Subscript(value=value, slice=index):
                return self._indexed(node, self.value(value), self.value(index))
            case ast.BinOp(left=left, op=op, right=right):
                return self.joined(node, op, self.value(left), self.value(right))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self._plain(operand)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                return tuple(self.value(part) for part in parts)
            case ast.Call():
                return self._called(node)
            case _:
                return self.made.names.value(node)

    def _plain(self, node: ast.AST) -> int | float:
        value = self.value(node)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise refusal(node)
        return value

    def _result(self, node: ast.AST) -> _Result:
        value = self.value(node)
        if not isinstance(value, _Result):
            raise refusal(node, "a layer takes the image, or what another layer gives")
        return value

    def _indexed(self, node: ast.AST, value: Any, index: Any) -> Any:
        if index == 0 and isinstance(value, _Result):
            return _Of("first", value.place)
        if index == 0 and isinstance(value, _Of) and value.what == "size":
            return _BATCH
        raise refusal(node)

    def joined(self, node: ast.AST, op: ast.operator, left: Any, right: Any, *, in_place: bool = False) -> Any:
        if isinstance(left, _Result) and isinstance(right, _Result):
            if isinstance(op, ast.Add):
                return self._step("Add", {"inplace": in_place}, (left, right), node)
            raise refusal(node, "two results are joined by + or torch.cat alone")
        if any(isinstance(each, bool) or not isinstance(each, int | float) for each in (left, right)):
            raise refusal(node)
        return arithmetic(node, op, left, right)

    def _step(
        self,
        kind: str,
        arguments: dict[str, Any],
        given: tuple[_Result, ...],
        node: ast.AST,
        *,
        taken: ast.AST | None = None,
        layer: str | None = None,
    ) -> _Result:
        places = tuple(each.place for each in given)
        self.steps.append(Step(kind, arguments, places, span_of(node), span_of(taken) if taken else None, layer))
        return _Result(len(self.steps) - 1)

    def _called(self, node: ast.Call) -> Any:
        if (layers := self._layers_at(node.func)) is not None:
            if len(node.args) != 1 or node.keywords:
                raise refusal(node, "a layer is given one thing: the image, or what another layer gives")
            return self._through(layers, self._result(node.args[0]), node, node.args[0])
        name = self.made.names.dotted(node.func)
        if name == "len" and len(node.args) == 1 and isinstance(self.value(node.args[0]), _Result):
            return _BATCH
        if isinstance(node.func, ast.Call):  # nn.ReLU()(x)
            layer = layers_of(node.func, "", self.made.names)
            if not isinstance(layer, Declared) or layer.kind in (*HAS_NUMBERS, "Dropout", "Dropout2d"):
                raise refusal(node, "a layer that is made in forward is a new one for each batch: make it in __init__")
            return self._step(layer.kind, layer.arguments, (self._result(node.args[0]),), node)
        for module in ("torch.nn.functional.", "torch."):
            if name.startswith(module) and "." not in name.removeprefix(module):
                return self._function(name.removeprefix(module), node)
        if isinstance(node.func, ast.Attribute):
            return self._method(self.value(node.func.value), node.func.attr, node)
        raise refusal(node)

    def _layers_at(self, node: ast.AST) -> Layers | None:
        """Return the layers that ``self.name``, or ``self.name[0]``, stands for."""
        match node:
            case ast.Attribute(value=ast.Name(id="self"), attr=attribute):
                if attribute not in self.made.layers:
                    raise refusal(node, f"self.{attribute} is made nowhere in __init__")
                return self.made.layers[attribute]
            case ast.Subscript(value=ast.Attribute() as value, slice=ast.Constant(value=int(index))):
                layers = self._layers_at(value)
                if isinstance(layers, list) and index < len(layers):
                    return layers[index][1]
        return None

    def _through(self, layers: Layers, result: _Result, node: ast.AST, taken: ast.AST | None) -> _Result:
        if isinstance(layers, Declared):
            return self._step(layers.kind, layers.arguments, (result,), node, taken=taken, layer=layers.path)
        for _, part in layers:
            result = self._through(part, result, node, taken)
            taken = None  # what the others are given stands nowhere in forward
        return result

    def _function(self, name: str, node: ast.Call) -> Any:
        if not node.args:
            raise refusal(node)
        first, *rest = (self.value(each) for each in node.args)
        named = {each.arg or "": self.value(each.value) for each in node.keywords}
        if name in ("cat", "concat", "concatenate"):
            return self._cat(first, rest, named, node)
        if name == "add" and len(rest) == 1 and not named:
            return self.joined(node, ast.Add(), first, rest[0])
        if name == "numel" and isinstance(first, _Of) and first.what == "first" and not rest and not named:
            return _Of("numbers", first.place)
        if not isinstance(first, _Result):
            raise refusal(node, f"{name} is given no result of a layer")
        if name == "reshape":
            return self._reshaped(first, rest, node)
        return self._known_function(name, first, rest, named, node)

    def _known_function(
        self, name: str, first: _Result, rest: list[Any], named: dict[str, Any], node: ast.AST
    ) -> _Result:
        if name not in _FUNCTIONS:
            raise refusal(node, f"{name} is not understood")
        kind, order = _FUNCTIONS[name]
        if "training" in order:
            training = named.pop("training", rest.pop(1) if len(rest) > 1 else True)
            if training is not _TRAINING:
                raise refusal(node, f"{name} needs training=self.training: without it, it drops numbers in testing too")
            order = tuple(each for each in order if each != "training")
        if name == "pad":
            named = {"padding" if key == "pad" else key: value for key, value in named.items()}
        if kind == "Flatten" and "start_dim" not in named and not rest:
            raise refusal(node, "flatten needs start_dim=1 here: without it, all images become one row")
        return self._step(kind, arguments_for(kind, rest, named, node, order), (first,), node)

    def _cat(self, first: Any, rest: list[Any], named: dict[str, Any], node: ast.AST) -> _Result:
        dim = named.pop("dim", rest[0] if rest else 0)
        if (
            named
            or len(rest) > 1
            or not isinstance(first, tuple)
            or not all(isinstance(each, _Result) for each in first)
        ):
            raise refusal(node, "torch.cat takes a list of results, and dim=1")
        if dim != 1:
            raise refusal(node, f"torch.cat with dim={dim} would join images: channels are joined by dim=1")
        return self._step("Cat", {}, first, node)

    def _method(self, on: Any, name: str, node: ast.Call) -> Any:
        given = [self.value(each) for each in node.args]
        named = {each.arg or "": self.value(each.value) for each in node.keywords}
        if isinstance(on, _Of) and on.what == "first" and name == "numel" and not given:
            return _Of("numbers", on.place)
        if not isinstance(on, _Result):
            raise refusal(node)
        if name == "size":
            size = _Of("size", on.place)
            return self._indexed(node, size, given[0]) if given else size
        if name in _SAME and not given and not named:
            return on
        if name in ("view", "reshape") and not named:
            return self._reshaped(on, given, node, node.func.value if isinstance(node.func, ast.Attribute) else None)
        if name in ("add", "add_") and len(given) == 1 and not named:
            return self.joined(node, ast.Add(), on, given[0], in_place=name == "add_")
        if name in _METHODS:
            in_place = {"inplace": True} if name == "relu_" else {}
            return self._known_function(name, on, given, named | in_place, node)
        raise refusal(node, f"{name} is not understood")

    def _reshaped(self, on: _Result, given: list[Any], node: ast.AST, taken: ast.AST | None = None) -> _Result:
        """Return a view of each image as one row of numbers; others are refused."""
        sides = list(given[0]) if len(given) == 1 and isinstance(given[0], tuple) else given
        size: int | None = None
        match sides:
            case [batch, -1] if batch is _BATCH:
                pass
            case [first, _Of(what="numbers", place=place)] if (first == -1 or first is _BATCH) and place == on.place:
                pass
            case [first, int(count)] if (first == -1 or first is _BATCH) and count > 0:
                size = count
            case _:
                raise refusal(
                    node, "a view is understood that makes each image one row of numbers: x.view(x.size(0), -1)"
                )
        return self._step("Flatten", {**KINDS["Flatten"].defaults, "size": size}, (on,), node, taken=taken)
