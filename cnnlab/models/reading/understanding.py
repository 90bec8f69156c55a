"""What a network makes of an image, what it costs, and the mistakes in it, in a learner's words."""

from dataclasses import dataclass
from math import prod

from cnnlab.data.mnist import IMAGE_SHAPE
from cnnlab.models.reading.kinds import KINDS, Misfit, Shape
from cnnlab.models.reading.network import IMAGE, CannotRead, Declared, Network, Span, Step
from cnnlab.wording import shape_text

DIGITS = 10
MOST_PARAMETERS = 2_000_000
MOST_MULTIPLY_ADDS = 100_000_000
# Between two of these, numbers are only weighted and summed: without an activation the two are one.
_LINEAR = ("Conv2d", "Linear")
_LINEAR_TOO = ("Dropout", "Dropout2d", "Identity", "Flatten", "AvgPool2d", "AdaptiveAvgPool2d", "ZeroPad2d")


@dataclass(frozen=True)
class Fix:
    """A change of the source that mends a mistake.

    Attributes
    ----------
    told
        What it does, as a button says it.
    span, new
        What is replaced, and by what.
    """

    told: str
    span: Span
    new: str


@dataclass(frozen=True)
class Mistake:
    """Something that is wrong with a network, or unwise.

    Attributes
    ----------
    line
        Of the source, from 1.
    told
        A sentence.
    prevents
        Whether the network cannot be trained with it.
    fix
        A change that mends it, or None.
    """

    line: int
    told: str
    prevents: bool = True
    fix: Fix | None = None


@dataclass(frozen=True)
class Cost:
    """What one step makes and takes.

    Attributes
    ----------
    before, after
        The shapes of one image as it comes in and goes out; None where an earlier mistake leaves it open. Of a step
        that joins several results, `before` is that of the first.
    parameters
        Numbers that training changes; those of a layer that is used again are not counted again.
    multiply_adds
        For one image, without the additions of a bias.
    """

    before: Shape | None
    after: Shape | None
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Understood:
    """A network, what each of its steps costs, and its mistakes, by line."""

    network: Network
    costs: tuple[Cost, ...]
    mistakes: tuple[Mistake, ...]

    @property
    def can_train(self) -> bool:
        """Whether no mistake prevents it."""
        return not any(mistake.prevents for mistake in self.mistakes)

    @property
    def parameters(self) -> int:
        """How many numbers training changes."""
        return sum(cost.parameters for cost in self.costs)

    @property
    def multiply_adds(self) -> int:
        """How many an image takes."""
        return sum(cost.multiply_adds for cost in self.costs)


def understand(network: Network) -> Understood:
    """Follow one image through a network, and look for mistakes."""
    declared = {each.path: each for each in network.declared}
    costs: list[Cost] = []
    mistakes: list[Mistake] = []
    counted: set[str] = set()
    for step in network.steps:
        given = [IMAGE_SHAPE if place == IMAGE else costs[place].after for place in step.inputs]
        shapes = [shape for shape in given if shape is not None]
        parameters = 0
        if step.kind in KINDS and step.layer not in counted:
            parameters = KINDS[step.kind].parameters(step.arguments)
            counted.add(step.layer or "")
        if len(shapes) < len(given):
            costs.append(Cost(given[0], None, parameters, 0))
            continue
        try:
            after = _joined(step, shapes) if step.kind in ("Add", "Cat") else _passed(step, shapes[0])
        except Misfit as misfit:
            mistakes.append(_told(misfit, step, declared.get(step.layer or ""), costs, network))
            costs.append(Cost(given[0], None, parameters, 0))
            continue
        kind = KINDS.get(step.kind)
        work = kind.multiply_adds(step.arguments, shapes[0], after) if kind else 0
        costs.append(Cost(shapes[0], after, parameters, work))
    mistakes += _at_the_end(network, costs, declared)
    mistakes += [_unused(each) for each in network.declared if each.path not in {step.layer for step in network.steps}]
    mistakes += _without_activation(network)
    mistakes += _changed_in_place(network)
    mistakes += _without_super(network)
    understood = Understood(network, tuple(costs), ())
    mistakes += _too_large(understood)
    return Understood(network, tuple(costs), tuple(sorted(mistakes, key=lambda mistake: mistake.line)))


def require_trainable(network: Network) -> None:
    """Check that a network has no mistake that prevents training.

    Raises
    ------
    CannotRead
        If it has one, which says the line.
    """
    for mistake in understand(network).mistakes:
        if mistake.prevents:
            raise CannotRead(mistake.line, mistake.told)


def _passed(step: Step, shape: Shape) -> Shape:
    return KINDS[step.kind].shape(step.arguments, shape)


def _joined(step: Step, shapes: list[Shape]) -> Shape:
    said = " and ".join(shape_text(shape) for shape in shapes)
    if step.kind == "Add":
        if len(set(shapes)) > 1:
            raise Misfit(f"adds {said}: only equal shapes are added number by number")
        return shapes[0]
    if len({shape[1:] for shape in shapes}) > 1 or len({len(shape) for shape in shapes}) > 1:
        raise Misfit(f"joins {said}: all but the channels must be equal")
    return (sum(shape[0] for shape in shapes), *shapes[0][1:])


def _told(misfit: Misfit, step: Step, layer: Declared | None, costs: list[Cost], network: Network) -> Mistake:
    name = f"nn.{step.kind}" if step.kind in KINDS else {"Add": "+", "Cat": "torch.cat"}[step.kind]
    fix = None
    if misfit.needs_flatten:
        if network.form == "sequential":
            fix = Fix("Flatten first", step.span.start, "nn.Flatten(), ")
        elif step.given:
            fix = Fix("Flatten first", step.given.end, ".flatten(start_dim=1)")
    elif misfit.argument and layer and (span := layer.places.get(misfit.argument)):
        written = _as_product(misfit.should_be, step, costs, network)
        fix = Fix(f"Write {written}", span, written)
    elif misfit.argument == "size" and step.given and step.given.start == step.span.start:
        rest = Span(step.given.end_line, step.given.end_column, step.span.end_line, step.span.end_column)
        fix = Fix("Write flatten(start_dim=1)", rest, ".flatten(start_dim=1)")
    line = layer.line if fix and layer and fix.span.line == layer.line else step.line
    return Mistake(line, f"{name} {misfit.told}.", fix=fix)


def _as_product(count: int, step: Step, costs: list[Cost], network: Network) -> str:
    """Return a count of numbers; where maps were flattened just before, as the product of their sides: 16 * 5 * 5."""
    place = step.inputs[0]
    while place != IMAGE and network.steps[place].kind in ("Dropout", "Dropout2d", "Identity"):
        place = network.steps[place].inputs[0]
    before = costs[place].before if place != IMAGE and network.steps[place].kind == "Flatten" else None
    return product_of(before) if before and prod(before) == count else str(count)


def product_of(shape: Shape) -> str:
    """Return how many numbers maps hold, as the product of their sides: 16 * 5 * 5."""
    return " * ".join(str(side) for side in shape if side > 1) or "1"


def _at_the_end(network: Network, costs: list[Cost], declared: dict[str, Declared]) -> list[Mistake]:
    last, shape = network.steps[-1], costs[-1].after
    found = []
    if last.kind in ("Softmax", "LogSoftmax"):
        told = f"nn.{last.kind} before the cross entropy: the loss does it itself, so it is done twice. " + (
            "Ten probabilities taken as logits can give a digit 23 % at most, so that the loss stays above 1.46 "
            "and the network learns slowly."
            if last.kind == "Softmax"
            else "Done twice it changes nothing here, and says something else than is meant."
        )
        found.append(Mistake(last.line, told, prevents=False, fix=_without(last, network)))
    if shape is not None and shape != (DIGITS,):
        said = f"{shape[0]:,} numbers" if len(shape) == 1 else f"maps of {shape_text(shape)}"
        layer = next(
            (declared[step.layer] for step in reversed(network.steps) if step.kind == "Linear" and step.layer), None
        )
        fix = None
        if len(shape) == 1 and layer and (span := layer.places.get("out_features")):
            fix = Fix(f"Write {DIGITS}", span, str(DIGITS))
        line = layer.line if fix and layer else last.line
        found.append(Mistake(line, f"The network gives {said}; there must be ten, one for each digit.", fix=fix))
    return found


def _without(step: Step, network: Network) -> Fix | None:
    """Return a fix that takes the last step out of a list, with the comma before it; None where it is a call."""
    place = network.steps.index(step)
    if network.form == "sequential" and place:
        before = network.steps[place - 1].span
        return Fix(
            "Take it out", Span(before.end_line, before.end_column, step.span.end_line, step.span.end_column), ""
        )
    return None


def _unused(layer: Declared) -> Mistake:
    return Mistake(layer.line, f"{layer.path} is made here, and forward never uses it.", prevents=False)


def _without_activation(network: Network) -> list[Mistake]:
    found = []
    for step in network.steps:
        if step.kind not in _LINEAR:
            continue
        place = step.inputs[0]
        while place != IMAGE and network.steps[place].kind in _LINEAR_TOO:
            place = network.steps[place].inputs[0]
        if place == IMAGE or network.steps[place].kind not in _LINEAR:
            continue
        before = network.steps[place]
        told = (
            f"No activation stands between line {before.line} and this: nn.{before.kind} and nn.{step.kind} in a row "
            "only weight and sum, which one such layer alone could do."
        )
        fix = None
        if network.form == "sequential":
            fix = Fix("Put a ReLU between", before.span.end, ", nn.ReLU()")
        elif step.given:
            fix = Fix("Put a ReLU between", step.given.end, ".relu()")
        found.append(Mistake(step.line, told, prevents=False, fix=fix))
    return found


def _changed_in_place(network: Network) -> list[Mistake]:
    found = []
    for place, step in enumerate(network.steps):
        later = [other for other in network.steps[place + 1 :] if step.inputs[0] in other.inputs]
        if step.arguments.get("inplace") and later:
            told = (
                f"This is done in place, and so changes what line {later[0].line} uses too. Give the result a new name."
            )
            found.append(Mistake(step.line, told))
    return found


def _without_super(network: Network) -> list[Mistake]:
    if network.calls_super or network.init is None:
        return []
    told = "super().__init__() is missing: PyTorch needs it before the first layer is made."
    indented = "super().__init__()\n" + " " * network.init.column
    return [Mistake(network.init.line, told, fix=Fix("Write it", network.init, indented))]


def _too_large(understood: Understood) -> list[Mistake]:
    found = []
    line = understood.network.line
    if understood.parameters > MOST_PARAMETERS:
        told = f"The network has {understood.parameters:,} parameters; the lab trains at most {MOST_PARAMETERS:,}."
        found.append(Mistake(line, told))
    if understood.multiply_adds > MOST_MULTIPLY_ADDS:
        told = (
            f"An image takes {understood.multiply_adds:,} multiply-adds; the lab trains at most {MOST_MULTIPLY_ADDS:,}."
        )
        found.append(Mistake(line, told))
    return found
