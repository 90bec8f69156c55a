"""A network as a graph: what its source declares, and the steps from an image to the logits."""

from dataclasses import dataclass
from typing import Any, Literal

from cnnlab.errors import LabError

# The place of the image among the inputs of a step.
IMAGE = -1
Form = Literal["sequential", "module"]
Arguments = dict[str, Any]


class CannotRead(LabError):
    """A source is none that the lab understands.

    Attributes
    ----------
    line
        Of the source, from 1.
    """

    def __init__(self, line: int, told: str) -> None:
        super().__init__(f"Line {line}: {told}")
        self.line = line
        self.told = told


@dataclass(frozen=True)
class Span:
    """A part of a source: from one place to before another. Lines count from 1, columns, in characters, from 0."""

    line: int
    column: int
    end_line: int
    end_column: int

    def replaced_in(self, text: str, new: str) -> str:
        """Return a text in which this part is another."""
        lines = text.split("\n")
        before = "\n".join([*lines[: self.line - 1], lines[self.line - 1][: self.column]])
        after = "\n".join([lines[self.end_line - 1][self.end_column :], *lines[self.end_line :]])
        return f"{before}{new}{after}"

    @property
    def start(self) -> "Span":
        """The place before it."""
        return Span(self.line, self.column, self.line, self.column)

    @property
    def end(self) -> "Span":
        """The place behind it."""
        return Span(self.end_line, self.end_column, self.end_line, self.end_column)


@dataclass(frozen=True)
class Declared:
    """A layer that the source makes before an image comes.

    Attributes
    ----------
    path
        Its name in the ``state_dict``: "conv1", or "0" in an `nn.Sequential`.
    kind
        The name of its class in `torch.nn`.
    arguments
        All that the class takes, by name, with the defaults of those that are not given.
    span
        Where the source makes it.
    places
        Where the arguments stand that are given.
    """

    path: str
    kind: str
    arguments: Arguments
    span: Span
    places: dict[str, Span]

    @property
    def line(self) -> int:
        """Where it is made, from 1."""
        return self.span.line


@dataclass(frozen=True)
class Step:
    """One operation on the way from the image to the logits.

    Attributes
    ----------
    kind
        The name of the class in `torch.nn` that does it, also where a function is called; Add or Cat for what joins.
    arguments
        As `Declared` has them.
    inputs
        The places of the steps whose results it takes; `IMAGE` is the image.
    span
        Where the source asks for it.
    given
        Where what it is given stands in the source; of a list, nowhere.
    layer
        The path of the declared layer that does it; None for a function.
    """

    kind: str
    arguments: Arguments
    inputs: tuple[int, ...]
    span: Span
    given: Span | None = None
    layer: str | None = None

    @property
    def line(self) -> int:
        """Where the source asks for it, from 1."""
        return self.span.line


@dataclass(frozen=True)
class Network:
    """What a source says.

    Attributes
    ----------
    form
        How it is written.
    name
        Of the class; of a list, the name that it is assigned to, "" without one.
    declared
        In the order of the source, in which PyTorch draws the first weights.
    steps
        In the order in which they are computed; the last gives the logits.
    calls_super
        Whether the class calls ``super().__init__()``; a list needs not.
    init
        Where the first statement of its ``__init__`` begins; None without one.
    line
        Where it begins.
    """

    form: Form
    name: str
    declared: tuple[Declared, ...]
    steps: tuple[Step, ...]
    calls_super: bool
    init: Span | None
    line: int
