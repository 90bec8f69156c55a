"""The layers that the lab understands: what they take, what they make of a shape, and what they cost.

Shapes are those of one image: (channels, height, width), or (numbers,) after flattening. The formulas are those of
PyTorch's documentation of each layer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from cnnlab.models.reading.network import Arguments
from cnnlab.wording import shape_text

Shape = tuple[int, ...]
REQUIRED = object()
_LARGEST = 1_000_000


class Misfit(Exception):
    """A layer cannot take what it is given.

    Attributes
    ----------
    told
        Why, as the end of a sentence.
    argument, should_be
        The argument that would mend it, and its value; "" where none would.
    needs_flatten
        Whether flattening what comes in would mend it.
    """

    def __init__(self, told: str, argument: str = "", should_be: int = 0, needs_flatten: bool = False) -> None:
        super().__init__(told)
        self.told = told
        self.argument = argument
        self.should_be = should_be
        self.needs_flatten = needs_flatten


def _nothing(*_: Any) -> int:
    return 0


@dataclass(frozen=True)
class Kind:
    """A kind of layer.

    Attributes
    ----------
    defaults
        What its class takes, in PyTorch's order, each with its default, or `REQUIRED`.
    checks
        For each argument, returns its value where it is allowed, and raises ValueError with what is allowed.
    shape
        From its arguments and the shape that comes in to the one that comes out. Raises `Misfit`.
    parameters
        How many numbers training changes, by its arguments.
    multiply_adds
        For one image, by its arguments and the two shapes.
    """

    defaults: dict[str, Any]
    checks: dict[str, Callable[[Any], Any]]
    shape: Callable[[Arguments, Shape], Shape]
    parameters: Callable[[Arguments], int] = _nothing
    multiply_adds: Callable[[Arguments, Shape, Shape], int] = _nothing


def whole(least: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= _LARGEST:
            return value
        raise ValueError(f"a whole number from {least}")

    return check


def pair(least: int) -> Callable[[Any], Any]:
    """Check a whole number, or one for the height and one for the width; two equal ones are one."""

    def check(value: Any) -> Any:
        both = value if isinstance(value, tuple | list) else (value, value)
        if len(both) != 2:
            raise ValueError(f"a whole number from {least}, or two of them")
        height, width = (whole(least)(each) for each in both)
        return height if height == width else (height, width)

    return check


def number(low: float, high: float) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return value
        raise ValueError(f"a number from {low:g} to {high:g}")

    return check


def only(*allowed: Any) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if any(value == each and type(value) is type(each) for each in allowed):
            return value
        raise ValueError(" or ".join(map(repr, allowed)))

    return check


def either(*checks: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        allowed = []
        for each in checks:
            try:
                return each(value)
            except ValueError as error:
                allowed.append(str(error))
        raise ValueError(" or ".join(allowed))

    return check


def _sides(value: Any) -> Any:
    """Check a padding of one number, or of four: left, right, top, bottom."""
    if isinstance(value, tuple | list) and len(value) == 4:
        return tuple(whole(0)(each) for each in value)
    return whole(0)(value)


flag = only(False, True)


def both_of(value: Any) -> Any:
    """Return a number for the height and one for the width, where one may stand for both."""
    return value if isinstance(value, tuple) else (value, value)


def _image(shape: Shape) -> Shape:
    if len(shape) != 3:
        raise Misfit(f"takes maps of channels × height × width, and is given {shape[0]:,} numbers in a row")
    return shape


def _same(_: Arguments, shape: Shape) -> Shape:
    return shape


def _window(arguments: Arguments, shape: Shape, ceil: bool = False) -> tuple[int, int]:
    """Return height and width after a window has gone over an image."""
    size, dilation = both_of(arguments["kernel_size"]), both_of(arguments.get("dilation", 1))
    stride = size if arguments["stride"] is None else both_of(arguments["stride"])
    reach = [dilation[side] * (size[side] - 1) + 1 for side in (0, 1)]
    match arguments["padding"]:
        case "same":
            return shape[1], shape[2]
        case "valid":
            padding = (0, 0)
        case given:
            padding = both_of(given)
    found = []
    for side in (0, 1):
        room = shape[1 + side] + 2 * padding[side] - reach[side]
        if room < 0:
            raise Misfit(
                f"looks at {reach[0]} × {reach[1]} pixels, and is given maps of {shape[1]} × {shape[2]}: no image is "
                "left after so many layers that shrink it"
            )
        steps = -(-room // stride[side]) if ceil else room // stride[side]
        if ceil and steps * stride[side] >= shape[1 + side] + padding[side]:
            steps -= 1  # PyTorch: a window must not begin in the padding of the far side
        found.append(steps + 1)
    return found[0], found[1]


def _convolution(arguments: Arguments, shape: Shape) -> Shape:
    channels, *_ = _image(shape)
    if channels != arguments["in_channels"]:
        raise Misfit(f"takes {arguments['in_channels']:,} channels, and is given {channels:,}", "in_channels", channels)
    for name in ("in_channels", "out_channels"):
        if arguments[name] % arguments["groups"]:
            raise Misfit(f"has {arguments['groups']} groups, which do not divide its {arguments[name]:,} {name}")
    if arguments["padding"] == "same" and both_of(arguments["stride"]) != (1, 1):
        raise Misfit("has padding='same', which takes stride 1")
    return (arguments["out_channels"], *_window(arguments, shape))


def _convolution_weights(arguments: Arguments) -> int:
    weights = prod(both_of(arguments["kernel_size"])) * arguments["in_channels"] // arguments["groups"]
    return arguments["out_channels"] * (weights + arguments["bias"])


def _convolution_work(arguments: Arguments, _: Shape, after: Shape) -> int:
    return prod(after) * prod(both_of(arguments["kernel_size"])) * arguments["in_channels"] // arguments["groups"]


def _linear(arguments: Arguments, shape: Shape) -> Shape:
    expected = arguments["in_features"]
    if len(shape) == 3:
        size = prod(shape)
        told = f"takes {expected:,} numbers in a row, and is given {shape_text(shape)}"
        raise Misfit(f"{told}: flatten first", needs_flatten=True, argument="in_features", should_be=size)
    if shape[0] != expected:
        raise Misfit(f"takes {expected:,} numbers, and is given {shape[0]:,}", "in_features", shape[0])
    return (arguments["out_features"],)


def _norm_of_maps(arguments: Arguments, shape: Shape) -> Shape:
    if _image(shape)[0] != arguments["num_features"]:
        told = f"takes {arguments['num_features']:,} channels, and is given {shape[0]:,}"
        raise Misfit(told, "num_features", shape[0])
    return shape


def _norm_of_rows(arguments: Arguments, shape: Shape) -> Shape:
    if len(shape) != 1:
        raise Misfit("takes numbers in a row, and is given maps: nn.BatchNorm2d takes those")
    if shape[0] != arguments["num_features"]:
        raise Misfit(
            f"takes {arguments['num_features']:,} numbers, and is given {shape[0]:,}", "num_features", shape[0]
        )
    return shape


def _norm_of_groups(arguments: Arguments, shape: Shape) -> Shape:
    groups, channels = arguments["num_groups"], arguments["num_channels"]
    if shape[0] != channels:
        raise Misfit(f"takes {channels:,} channels, and is given {shape[0]:,}", "num_channels", shape[0])
    if channels % groups:
        raise Misfit(f"has {groups} groups, which do not divide its {channels:,} channels")
    if channels // groups * prod(shape[1:]) == 1:
        raise Misfit("has a single number in each group, of which it makes 0: leave it out")
    return shape


def _pooled(arguments: Arguments, shape: Shape) -> Shape:
    _image(shape)
    padding, size = both_of(arguments["padding"]), both_of(arguments["kernel_size"])
    if any(2 * each > side for each, side in zip(padding, size, strict=True)):
        raise Misfit("is padded by more than half of its window")
    return (shape[0], *_window(arguments, shape, arguments["ceil_mode"]))


def _pooled_to(arguments: Arguments, shape: Shape) -> Shape:
    return (_image(shape)[0], *both_of(arguments["output_size"]))


def _flattened(arguments: Arguments, shape: Shape) -> Shape:
    size = prod(shape)
    if arguments["size"] not in (None, size):
        told = f"makes rows of {arguments['size']:,} numbers, and an image has {size:,} here"
        raise Misfit(f"{told}: images would be mixed", "size", size)
    return (size,)


def _padded(arguments: Arguments, shape: Shape) -> Shape:
    channels, height, width = _image(shape)
    left, right, top, bottom = sides_of(arguments["padding"])
    return channels, height + top + bottom, width + left + right


def sides_of(padding: int | tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Return a padding of `nn.ZeroPad2d` as left, right, top, bottom."""
    return padding if isinstance(padding, tuple) else (padding,) * 4


def _doubled_if_affine(arguments: Arguments) -> int:
    channels: int = arguments["num_features"] if "num_features" in arguments else arguments["num_channels"]
    return 2 * channels * arguments["affine"]


_EPS = {"eps": number(0, 1)}
_NORM = {"num_features": REQUIRED, "eps": 1e-5, "momentum": 0.1, "affine": True, "track_running_stats": True}
_NORM_CHECKS = {
    "num_features": whole(1),
    "momentum": number(0, 1),
    "affine": flag,
    "track_running_stats": only(True),
    **_EPS,
}
_DROPOUT = Kind({"p": 0.5, "inplace": False}, {"p": number(0, 1), "inplace": flag}, _same)
_IN_PLACE = Kind({"inplace": False}, {"inplace": flag}, _same)
_PLAIN = Kind({}, {}, _same)
_OVER_LOGITS = Kind({"dim": 1}, {"dim": either(only(1), only(-1))}, _same)

KINDS: dict[str, Kind] = {
    "Conv2d": Kind(
        {
            "in_channels": REQUIRED,
            "out_channels": REQUIRED,
            "kernel_size": REQUIRED,
            "stride": 1,
            "padding": 0,
            "dilation": 1,
            "groups": 1,
            "bias": True,
            "padding_mode": "zeros",
        },
        {
            "in_channels": whole(1),
            "out_channels": whole(1),
            "kernel_size": pair(1),
            "stride": pair(1),
            "padding": either(pair(0), only("same", "valid")),
            "dilation": pair(1),
            "groups": whole(1),
            "bias": flag,
            "padding_mode": only("zeros"),
        },
        _convolution,
        _convolution_weights,
        _convolution_work,
    ),
    "Linear": Kind(
        {"in_features": REQUIRED, "out_features": REQUIRED, "bias": True},
        {"in_features": whole(1), "out_features": whole(1), "bias": flag},
        _linear,
        lambda given: given["out_features"] * (given["in_features"] + given["bias"]),
        lambda given, _, after: given["in_features"] * after[0],
    ),
    "BatchNorm1d": Kind(_NORM, _NORM_CHECKS, _norm_of_rows, _doubled_if_affine),
    "BatchNorm2d": Kind(_NORM, _NORM_CHECKS, _norm_of_maps, _doubled_if_affine),
    "GroupNorm": Kind(
        {"num_groups": REQUIRED, "num_channels": REQUIRED, "eps": 1e-5, "affine": True},
        {"num_groups": whole(1), "num_channels": whole(1), "affine": flag, **_EPS},
        _norm_of_groups,
        _doubled_if_affine,
    ),
    "MaxPool2d": Kind(
        {
            "kernel_size": REQUIRED,
            "stride": None,
            "padding": 0,
            "dilation": 1,
            "return_indices": False,
            "ceil_mode": False,
        },
        {
            "kernel_size": pair(1),
            "stride": either(pair(1), only(None)),
            "padding": pair(0),
            "dilation": pair(1),
            "return_indices": only(False),
            "ceil_mode": flag,
        },
        _pooled,
    ),
    "AvgPool2d": Kind(
        {
            "kernel_size": REQUIRED,
            "stride": None,
            "padding": 0,
            "ceil_mode": False,
            "count_include_pad": True,
            "divisor_override": None,
        },
        {
            "kernel_size": pair(1),
            "stride": either(pair(1), only(None)),
            "padding": pair(0),
            "ceil_mode": flag,
            "count_include_pad": flag,
            "divisor_override": only(None),
        },
        _pooled,
    ),
    "AdaptiveAvgPool2d": Kind({"output_size": REQUIRED}, {"output_size": pair(1)}, _pooled_to),
    "ZeroPad2d": Kind({"padding": REQUIRED}, {"padding": _sides}, _padded),
    "Flatten": Kind(
        {"start_dim": 1, "end_dim": -1, "size": None},
        {"start_dim": only(1), "end_dim": only(-1), "size": either(whole(1), only(None))},
        _flattened,
    ),
    "Dropout": _DROPOUT,
    "Dropout2d": _DROPOUT,
    "ReLU": _IN_PLACE,
    "SiLU": _IN_PLACE,
    "LeakyReLU": Kind(
        {"negative_slope": 0.01, "inplace": False}, {"negative_slope": number(0, 100), "inplace": flag}, _same
    ),
    "GELU": Kind({"approximate": "none"}, {"approximate": only("none", "tanh")}, _same),
    "Tanh": _PLAIN,
    "Sigmoid": _PLAIN,
    "Identity": _PLAIN,
    "Softmax": _OVER_LOGITS,
    "LogSoftmax": _OVER_LOGITS,
}
HAS_NUMBERS = tuple(name for name, kind in KINDS.items() if kind.parameters is not _nothing)
