"""``runs``, ``star``, ``note``, ``export`` and ``import``: the runs in the lab's home."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click

from cnnlab.comparison.listing import Order, in_order
from cnnlab.errors import LabError
from cnnlab.inference.onnx_file import SUFFIX, run_as_onnx
from cnnlab.inference.test_set import pen_accuracy_of
from cnnlab.runs.folder import NoSuchRun
from cnnlab.runs.names import InvalidNote, ShippedRun
from cnnlab.runs.queue import wish_learning_rate
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import all_runs, find_run, unreadable_runs
from cnnlab.runs.transfer.archive import MOST_BYTES, export_run, import_run
from cnnlab.storage.learners import InvalidLearner, checked_learner, is_same_learner
from cnnlab.training.recipe import InvalidConfig
from cnnlab.wording import in_one_line, percent


@click.command()
@click.option(
    "--sort",
    "order",
    type=click.Choice(Order, case_sensitive=False),
    default=Order.AGE,
    help="What comes first: the newest, the best accuracy, or by name.",
)
@click.option("--learner", metavar="NAME", help="Only the runs of whoever has said this name.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each run.")
def runs(order: Order, learner: str | None, as_json: bool) -> None:
    """List the runs, those with a star first."""
    with _refusals():
        name = None if learner is None else checked_learner(learner)
    for run in in_order(all_runs(), order):
        if name and not is_same_learner(run.made_by, name):
            continue
        if as_json:
            record = {
                "id": run.id,
                "name": run.name,
                "status": run.status,
                "model": run.model,
                "config": asdict(run.config),
                "fine_tuned_from": run.fine_tuning and run.fine_tuning.name,
                "pen_accuracy": pen_accuracy_of(run),
                "star": run.is_starred,
                "note": run.note,
                "made_by": run.made_by,
            }
            click.echo(json.dumps(record))
        else:
            star = "* " if run.is_starred else ""
            told = [run.id, run.status, _result_of(run), star + run.name]
            told += [f"by {run.made_by}"] if run.made_by else []
            told += [run.note] if run.note else []
            click.echo("\t".join(told))
    for damage in unreadable_runs():
        click.echo(str(damage), err=True)


def _result_of(run: Run) -> str:
    if damage := run.damage():
        return f"{damage.kind}: {damage.file}"
    epoch = run.last_epoch()
    return f"epoch {epoch.epoch}, {percent(epoch.test_accuracy)}" if epoch else "-"


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--remove", is_flag=True, help="Take it away.")
def star(run_id: str, remove: bool) -> None:
    """Give a run a star: it comes first in lists."""
    with _refusals():
        find_run(run_id).star(not remove)


@click.command()
@click.argument("run_id", metavar="RUN")
@click.argument("text")
def note(run_id: str, text: str) -> None:
    """Note something of a run, in place of the note before; an empty TEXT leaves none."""
    with _refusals():
        find_run(run_id).take_note(text)


@contextmanager
def _refusals() -> Iterator[None]:
    """End the command with a sentence where the lab refuses what its arguments ask for."""
    try:
        yield
    except (NoSuchRun, InvalidNote, InvalidLearner, ShippedRun) as error:
        raise click.UsageError(str(error)) from error
    except LabError as error:
        raise click.ClickException(str(error)) from error


@click.command("set")
@click.argument("run_id", metavar="RUN")
@click.argument("setting", metavar="learning_rate=NUMBER")
def set_learning_rate(run_id: str, setting: str) -> None:
    """Change the learning rate of a run that trains, from its next step on."""
    name, _, value = setting.partition("=")
    try:
        if name != "learning_rate":
            raise ValueError
        run = find_run(run_id)
        wish_learning_rate(run, float(value))
        click.echo(f"{run.name}: learning rate {float(value):g} from its next step on")
    except InvalidConfig as error:
        raise click.UsageError(str(error)) from error
    except ValueError as error:
        raise click.UsageError(f"{setting!r} is not learning_rate= and a number, as in learning_rate=0.01.") from error
    except NoSuchRun as error:
        raise click.UsageError(str(error)) from error
    except LabError as error:
        raise click.ClickException(str(error)) from error


@click.command()
@click.argument("run_id", metavar="RUN")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--checkpoint", is_flag=True, help="Take the state along from which training goes on.")
@click.option("--snapshots", is_flag=True, help="Take those of its weights along, which are its film.")
def export(run_id: str, file: Path, checkpoint: bool, snapshots: bool) -> None:
    """Write a run to a zip archive, to be imported elsewhere. FILE must not be there yet.

    If the name of FILE ends with .onnx, it gets the network with its weights, for Netron and other runtimes.
    """
    is_onnx = file.suffix.lower() == SUFFIX
    if is_onnx and (checkpoint or snapshots):
        raise click.UsageError(f"An {SUFFIX} file holds neither a checkpoint nor snapshots: name a .zip file.")
    try:
        run = find_run(run_id)
        content = run_as_onnx(run) if is_onnx else export_run(run, checkpoint=checkpoint, snapshots=snapshots)
        with file.open("xb") as archive:
            archive.write(content)
    except NoSuchRun as error:
        raise click.UsageError(str(error)) from error
    except FileExistsError as error:
        raise click.UsageError(f"{file} is there already: name another file, or remove it.") from error
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written ({error.strerror}).") from error
    except LabError as error:
        raise click.ClickException(str(error)) from error


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
def import_files(files: tuple[Path, ...]) -> None:
    """Make a new run of each archive that `export` has written, and print its identifier."""
    refused = 0
    for file in files:
        try:
            with file.open("rb") as archive:
                click.echo(import_run(archive.read(MOST_BYTES + 1)).id)
        except OSError as error:
            refused += 1
            click.echo(f"{in_one_line(str(file))}: It cannot be read ({error.strerror}).", err=True)
        except LabError as error:
            refused += 1
            click.echo(f"{in_one_line(str(file))}: {error}", err=True)
    if refused:
        raise click.ClickException(f"{refused:,} of {len(files):,} files could not be imported.")
