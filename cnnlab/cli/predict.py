"""``predict``: which digit a picture shows."""

import json
from pathlib import Path

import click
import numpy as np
import torch

from cnnlab.drawing.photos import MOST_BYTES as MOST_PICTURE_BYTES
from cnnlab.drawing.photos import UnreadablePicture, picture_on_canvas
from cnnlab.drawing.preparation import prepare
from cnnlab.errors import LabError
from cnnlab.inference.answers import Answer, answers_of
from cnnlab.runs.folder import DRAWING_RUN, NoSuchRun
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import find_run
from cnnlab.wording import in_one_line


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
                answer = _answer(run, file)
            except _Unread as error:
                unread += 1
                click.echo(f"{in_one_line(file)}: {error}", err=True)
                continue
            probabilities = [round(float(each), 6) for each in answer.probabilities]
            if as_json:
                click.echo(json.dumps({"file": file, "digit": answer.digit, "probabilities": probabilities}))
            else:
                click.echo(f"{in_one_line(file)}\t{answer.digit}\t" + " ".join(f"{each:.3f}" for each in probabilities))
    except NoSuchRun as error:
        raise click.UsageError(str(error)) from error
    except LabError as error:
        raise click.ClickException(str(error)) from error
    if unread:
        raise click.ClickException(f"{unread:,} of {len(files):,} files could not be read.")


class _Unread(LabError):
    """A file shows no digit."""


def _answer(run: Run, file: str) -> Answer:
    try:
        with Path(file).open("rb") as opened:
            preparation = prepare(picture_on_canvas(opened.read(MOST_PICTURE_BYTES + 1)))
    except OSError as error:
        raise _Unread(f"It cannot be read ({error.strerror}).") from error
    except UnreadablePicture as error:
        raise _Unread(str(error)) from error
    if preparation is None:
        raise _Unread("Nothing is drawn on it.")
    return answers_of(run, preparation.centred[np.newaxis])[0]
