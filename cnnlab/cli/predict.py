"""``predict``: which digit a picture shows."""

import json
from pathlib import Path

import click
import numpy as np
import torch

from cnnlab.drawing.photos import MOST_BYTES as MOST_PICTURE_BYTES
from cnnlab.drawing.photos import UnreadablePicture, picture_on_canvas
from cnnlab.drawing.preparation import prepare
from cnnlab.drawing.several import digits_side_by_side
from cnnlab.errors import LabError
from cnnlab.inference.answers import Answer, answers_of
from cnnlab.inference.unlike import are_digits
from cnnlab.runs.folder import DRAWING_RUN, NoSuchRun
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import find_run
from cnnlab.wording import in_one_line

UNLIKE = "\tunlike a digit"


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--run", "run_id", default=DRAWING_RUN, show_default=True, metavar="RUN", help="The run that answers.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each file.")
def predict(files: tuple[str, ...], run_id: str, as_json: bool) -> None:
    """Say which digit each picture (PNG, JPEG, WebP, BMP or GIF) shows: the answer, and the probabilities of 0 to 9."""
    unread = 0
    torch.set_num_threads(1)  # more take longer to begin than one takes to answer
    try:
        run = find_run(run_id)
        for file in files:
            try:
                answer, is_digit = _answer(run, file)
            except _Unread as error:
                unread += 1
                click.echo(f"{in_one_line(file)}: {error}", err=True)
                continue
            probabilities = [round(float(each), 6) for each in answer.probabilities]
            if as_json:
                record = {"file": file, "digit": answer.digit, "is_digit": is_digit, "probabilities": probabilities}
                click.echo(json.dumps(record))
            else:
                shares = " ".join(f"{each:.3f}" for each in probabilities)
                click.echo(f"{in_one_line(file)}\t{answer.digit}\t{shares}{'' if is_digit else UNLIKE}")
    except NoSuchRun as error:
        raise click.UsageError(str(error)) from error
    except LabError as error:
        raise click.ClickException(str(error)) from error
    if unread:
        raise click.ClickException(f"{unread:,} of {len(files):,} files could not be read.")


class _Unread(LabError):
    """A file shows no digit."""


def _answer(run: Run, file: str) -> tuple[Answer, bool]:
    """Return what a run answers to a picture, and whether it shows one digit at all."""
    try:
        with Path(file).open("rb") as opened:
            preparation = prepare(picture_on_canvas(opened.read(MOST_PICTURE_BYTES + 1)))
    except OSError as error:
        raise _Unread(f"It cannot be read ({error.strerror}).") from error
    except UnreadablePicture as error:
        raise _Unread(str(error)) from error
    if preparation is None:
        raise _Unread("Nothing is drawn on it.")
    image = preparation.centred[np.newaxis]
    is_digit = digits_side_by_side(preparation.drawn) == 1 and bool(are_digits(run, image)[0])
    return answers_of(run, image)[0], is_digit
