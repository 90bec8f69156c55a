"""``fine-tune``: a run that begins with another's weights and learns somebody's own digits."""

import json
from pathlib import Path

import click

from cnnlab.cli.train import train_here
from cnnlab.drawing.my_digits import InvalidDigits, digits_in, parse
from cnnlab.errors import LabError
from cnnlab.fine_tuning.recipe import CannotFineTune, parted
from cnnlab.inference.answers import right_of
from cnnlab.runs.folder import NoSuchRun
from cnnlab.runs.log import Status
from cnnlab.runs.shelf import create_fine_tuned_run, find_run
from cnnlab.storage.learners import InvalidLearner, checked_learner


@click.command("fine-tune")
@click.argument("run_id", metavar="RUN")
@click.argument("digits", metavar="DIGITS.jsonl", type=click.Path(path_type=Path))
@click.option("--learner", metavar="NAME", help="Whose run it is: the name that one says on the page Lessons.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each epoch, and one at the end.")
def fine_tune(run_id: str, digits: Path, learner: str | None, as_json: bool) -> None:
    """Go on from RUN's weights with a new run that learns digits of your own, a file as Draw downloads it.

    Every other one of each digit is held out, and asked before and after.
    """
    try:
        content = digits.read_bytes()
    except OSError as error:
        raise click.UsageError(f"{digits} cannot be read ({error.strerror}).") from error
    try:
        made_by = None if learner is None else checked_learner(learner)
        parse(content)  # which names the line that cannot be read
        own = digits_in(content)
        to_train_on, _ = parted(own.digits)
        run = create_fine_tuned_run(find_run(run_id), to_train_on, made_by)
        train_here(run, as_json)
        if (held_out := own.without(to_train_on)) and run.status is Status.FINISHED:
            before, after = right_of(run, held_out, "start"), right_of(run, held_out)
            told = {"event": "held out", "digits": len(held_out), "right_before": before, "right_after": after}
            words = f"Of {len(held_out)} held-out digits, {before} were right before and {after} are now."
            click.echo(json.dumps(told) if as_json else words)
    except (NoSuchRun, CannotFineTune, InvalidDigits, InvalidLearner) as error:
        raise click.UsageError(str(error)) from error
    except LabError as error:
        raise click.ClickException(str(error)) from error
