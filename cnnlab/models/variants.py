"""A network with more or fewer filters in one of its convolutions, written as its source was."""

import re
from collections.abc import Mapping

from cnnlab.errors import LabError
from cnnlab.models.reading.kinds import Shape
from cnnlab.models.reading.network import IMAGE, CannotRead, Declared, Network
from cnnlab.models.reading.source import read
from cnnlab.models.reading.understanding import Fix, Understood, understand
from cnnlab.models.writing import names_of

_MOST_CHANGES = 300  # a network has at most 100 layers, of which each takes and gives something
_WRITTEN_SHAPE = re.compile(r"(\(\d{1,9}(?:, ?\d{1,9})*,?\))")


class CannotResize(LabError):
    """A convolution cannot have so many filters."""


def convolutions_of(network: Network) -> dict[str, Declared]:
    """Return the convolutions that a network computes with, by what its class calls them: conv1, conv2."""
    layers = {each.path: each for each in network.declared}
    return {name: layers[path] for path, name in names_of(network).items() if layers[path].kind == "Conv2d"}


def with_filters(source: str, path: str, count: int) -> str:
    """Return a source in which a convolution has another number of filters, and all else fits it.

    What takes its maps is changed along: the next layers, and convolutions whose maps are added to these. Comments
    that say a shape say the new one.

    Parameters
    ----------
    source
        Of a network that can be trained.
    path
        Of the convolution.

    Raises
    ------
    CannotResize
        If the network could not be trained then, as when it is the last layer, which must give ten numbers.
    """
    before = understand(read(source))
    written, counts = source, {path: count}
    for _ in range(_MOST_CHANGES):
        try:
            understood = understand(read(written))
            change = _next_change(understood, counts)
        except CannotRead as error:
            name = names_of(before.network)[path]
            raise CannotResize(f"{name} cannot have {count} filters here. {error}") from error
        if change is None:
            return _with_shapes(written, before, understood)
        written = change.span.replaced_in(written, change.new)
    raise CannotResize(f"The network cannot be made to fit {count} filters.")


def _next_change(understood: Understood, counts: dict[str, int]) -> Fix | None:
    """Return what is to be changed next; None if all fits. Convolutions that must follow are added to the counts."""
    for layer in understood.network.declared:
        if layer.path in counts and layer.arguments["out_channels"] != counts[layer.path]:
            return Fix("", layer.places["out_channels"], str(counts[layer.path]))
    mistake = next((each for each in understood.mistakes if each.prevents), None)
    if mistake is None:
        return None
    if mistake.fix:
        return mistake.fix
    if _added_along(understood, counts):
        return _next_change(understood, counts)
    raise CannotRead(mistake.line, mistake.told)


def _added_along(understood: Understood, counts: dict[str, int]) -> bool:
    """Find convolutions whose maps are added to those of one that has changed, and return whether there are any."""
    network = understood.network
    for step in network.steps:
        if step.kind == "Add":
            makers = [_maker(network, place) for place in step.inputs]
            asked = {counts[each] for each in makers if each in counts}
            following = [each for each in makers if each is not None and each not in counts]
            if len(asked) == 1 and following:
                counts.update(dict.fromkeys(following, asked.pop()))
                return True
    return False


def _maker(network: Network, place: int) -> str | None:
    """Return the convolution that decides how many maps a step gives; None if it is none."""
    while place != IMAGE and network.steps[place].kind not in ("Conv2d", "Linear", "Flatten", "Cat"):
        place = network.steps[place].inputs[0]
    is_convolution = place != IMAGE and network.steps[place].kind == "Conv2d"
    return network.steps[place].layer if is_convolution else None


def _with_shapes(written: str, before: Understood, after: Understood) -> str:
    """Return a changed source with the shapes in comments as they are now, where they were right before."""
    declared = {each.path: each.span.end_line for each in after.network.declared}
    now: dict[int, dict[Shape | None, Shape | None]] = {}
    for step, old, new in zip(after.network.steps, before.costs, after.costs, strict=True):
        for line in {step.span.end_line, declared.get(step.layer or "", step.span.end_line)}:
            now.setdefault(line - 1, {}).update({old.before: new.before, old.after: new.after})
    lines = written.split("\n")
    for place, shapes in now.items():
        code, mark, comment = lines[place].partition("#")
        parts = _WRITTEN_SHAPE.split(comment)  # every second one is a shape
        parts[1::2] = [_said_anew(part, shapes) for part in parts[1::2]]
        lines[place] = "".join([code, mark, *parts])
    return "\n".join(lines)


def _said_anew(said: str, shapes: Mapping[Shape | None, Shape | None]) -> str:
    """Return a shape as a comment says it, (8, 26, 26) or (8,26,26), as it is now."""
    shape = shapes.get(tuple(map(int, re.findall(r"\d+", said))))
    if shape is None:
        return said
    return str(shape) if " " in said else str(shape).replace(" ", "")
