"""``predict``: which digit a picture shows."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from cnnlab.drawing.photos import MOST_BYTES as MOST_PICTURE_BYTES
from cnnlab.drawing.photos import SeveralDigits, UnreadablePicture, picture_on_canvas
from cnnlab.drawing.preparation import prepare
from cnnlab.drawing.several import digits_side_by_side
from cnnlab.errors import LabError
from cnnlab.inference.answers import Answer, answers_of
from cnnlab.inference.unlike import are_digits
from cnnlab.runs.folder import DRAWING_RUN, NoSuchRun
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import find_run
from cnnlab.wording import in_one_line


@dataclass(frozen=True)
class _Read:
    """What a picture shows: how many digits, whether that is one digit at all, and what a run answers.

    There is no answer where each of several digits was found by itself.
    """

    digits: int
    is_digit: bool
    answer: Answer | None

    def as_record(self, file: str) -> dict[str, Any]:
        return {
            "file": file,
            "digit": self.answer.digit if self.answer else None,
            "is_digit": self.is_digit,
            "digits": self.digits,
            "probabilities": self.probabilities or None,
        }

    def as_line(self, file: str) -> str:
        answer = str(self.answer.digit) if self.answer else "-"
        shares = " ".join(f"{each:.3f}" for each in self.probabilities)
        return "\t".join([in_one_line(file), answer, shares, *self._remark()])

    @property
    def probabilities(self) -> list[float]:
        return [round(float(each), 6) for each in self.answer.probabilities] if self.answer else []

    def _remark(self) -> list[str]:
        if self.is_digit:
            return []
        return [f"{self.digits} digits side by side, unlike a digit" if self.digits > 1 else "unlike a digit"]


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--run", "run_id", default=DRAWING_RUN, show_default=True, metavar="RUN", help="The run that answers.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each file.")
def predict(files: tuple[str, ...], run_id: str, as_json: bool) -> None:
    """Say which digit each picture (PNG, JPEG, WebP, BMP or GIF) shows: the answer, and the probabilities of 0 to 9.

    A picture that shows several digits, or none that the network knows, is said to.
    """
    unread = 0
    torch.set_num_threads(1)  # more take longer to begin than one takes to answer
    try:
        run = find_run(run_id)
        for file in files:
            try:
                read = _read(run, file)
            except _Unread as error:
                unread += 1
                click.echo(f"{in_one_line(file)}: {error}", err=True)
                continue
            click.echo(json.dumps(read.as_record(file)) if as_json else read.as_line(file))
    except NoSuchRun as error:
        raise click.UsageError(str(error)) from error
    except LabError as error:
        raise click.ClickException(str(error)) from error
    if unread:
        raise click.ClickException(f"{unread:,} of {len(files):,} files could not be read.")


class _Unread(LabError):
    """A file shows no digit."""


def _read(run: Run, file: str) -> _Read:
    """Ask a run about a picture."""
    try:
        with Path(file).open("rb") as opened:
            preparation = prepare(picture_on_canvas(opened.read(MOST_PICTURE_BYTES + 1)))
    except OSError as error:
        raise _Unread(f"It cannot be read ({error.strerror}).") from error
    except SeveralDigits as error:
        return _Read(error.count, is_digit=False, answer=None)
    except UnreadablePicture as error:
        raise _Unread(str(error)) from error
    if preparation is None:
        raise _Unread("Nothing is drawn on it.")
    image = preparation.centred[np.newaxis]
    count = digits_side_by_side(preparation.drawn)
    is_digit = count == 1 and bool(are_digits(run, image)[0])
    return _Read(count, is_digit, answers_of(run, image)[0])
