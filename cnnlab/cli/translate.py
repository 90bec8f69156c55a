"""``translate``: a network in the other of its two forms."""

from pathlib import Path

import click

from cnnlab.errors import LabError
from cnnlab.models.reading.network import CannotRead
from cnnlab.models.reading.source import MOST_CHARACTERS, read
from cnnlab.models.reading.understanding import Understood, understand
from cnnlab.models.writing import IMPORTS, CannotBeSequential, as_module, as_sequential, in_other_form
from cnnlab.wording import shape_text

_MOST_BYTES = 4 * MOST_CHARACTERS


class UnreadableFile(LabError):
    """A file is no source."""


def source_in(file: str) -> str:
    """Return the text of a file that holds a network.

    Raises
    ------
    UnreadableFile
        If it cannot be read, is far too long, or no text in UTF-8.
    """
    try:
        with Path(file).open("rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UnreadableFile(f"{file} cannot be read ({error.strerror}).") from error
    if len(content) > _MOST_BYTES:
        raise UnreadableFile(f"{file} is too long: a network's source has at most {MOST_CHARACTERS:,} characters.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"{file} is no text in UTF-8.") from error


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--to", type=click.Choice(["module", "sequential"]), help="The form  [default: the one that FILE is not]")
@click.option("--check", is_flag=True, help="Print what each line computes and costs instead, and its mistakes.")
@click.pass_context
def translate(context: click.Context, file: str, to: str | None, check: bool) -> None:
    """Write the network in a file in its other form: nn.Sequential as a class, a class as nn.Sequential.

    The file is read, and never executed.
    """
    try:
        understood = understand(read(source_in(file)))
        mistakes = [f"Line {mistake.line}: {mistake.told}" for mistake in understood.mistakes]
        if check:
            _print_table(understood)
        elif understood.can_train:
            write = {"module": as_module, "sequential": as_sequential, None: in_other_form}[to]
            click.echo(IMPORTS + write(understood), nl=False)
    except (CannotRead, CannotBeSequential, UnreadableFile) as error:
        click.echo(str(error), err=True)
        context.exit(2)
    for mistake in mistakes:
        click.echo(mistake, err=True)
    if not understood.can_train:
        context.exit(2)


def _print_table(understood: Understood) -> None:
    rows = [("line", "layer", "shape", "parameters", "multiply-adds")]
    for step, cost in zip(understood.network.steps, understood.costs, strict=True):
        shape = shape_text(cost.after) if cost.after else "?"
        name = f"{step.layer}: {step.kind}" if step.layer else step.kind
        rows.append((str(step.line), name, shape, f"{cost.parameters:,}", f"{cost.multiply_adds:,}"))
    rows.append(("", "total", "", f"{understood.parameters:,}", f"{understood.multiply_adds:,}"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        texts = [text.ljust(width) for text, width in zip(row[:3], widths[:3], strict=True)]
        numbers = [text.rjust(width) for text, width in zip(row[3:], widths[3:], strict=True)]
        click.echo("  ".join([*texts, *numbers]).rstrip())
