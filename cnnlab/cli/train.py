"""``train``: one run, in this process or as one of torchrun's."""

import json
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from cnnlab.cli.translate import source_in
from cnnlab.errors import LabError
from cnnlab.models.definitions import DEFINITIONS, Definition, UnknownDefinition
from cnnlab.models.reading.network import CannotRead
from cnnlab.networks.shelf import UnfitName, keep_network, network_named
from cnnlab.runs.folder import NoSuchRun
from cnnlab.runs.log import Status
from cnnlab.runs.names import InvalidName
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import create_run, find_run
from cnnlab.runs.snapshots import DEFAULT_SNAPSHOTS
from cnnlab.runs.writer import RunBusy, RunFinished, RunWriter
from cnnlab.storage.learners import InvalidLearner, checked_learner
from cnnlab.training.events import EpochEvent
from cnnlab.training.loop import require_an_image_for_each
from cnnlab.training.recipe import (
    PRESETS,
    SETTINGS,
    InvalidConfig,
    TrainingConfig,
    device_for,
)
from cnnlab.training.setting_kinds import Choice, Number, Setting, Switch, Whole, default_of
from cnnlab.wording import percent
from cnnlab.workers.torchrun import Processes, is_one_of_several
from cnnlab.workers.work import work


def recipe_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option for each setting of a recipe; those left out are None."""
    for name, setting in reversed(SETTINGS.items()):
        command = _option(name, setting)(command)
    return command


def _option(name: str, setting: Setting) -> Callable[[Callable[..., None]], Callable[..., None]]:
    flag, default = name.replace("_", "-"), default_of(TrainingConfig, name)
    if setting.default is None:
        default = f"all, here {default}"
    elif isinstance(default, bool):
        default = "on" if default else "off"
    elif isinstance(default, float):
        default = f"{default:g}"
    help_text = f"{setting.help}  [default: {default}]"
    match setting:
        case Whole():
            return click.option(f"--{flag}", type=int, help=help_text)
        case Number():
            return click.option(f"--{flag}", type=float, help=help_text)
        case Choice():
            return click.option(f"--{flag}", metavar=f"[{'|'.join(setting.choices)}]", help=help_text)
        case Switch():
            return click.option(f"--{flag}/--no-{flag}", default=None, help=help_text)
        case _:
            raise AssertionError(f"{name} is of a kind that the command line does not know")


@click.command()
@click.option(
    "--model",
    help=f"One of {', '.join(DEFINITIONS)}, one of your own by its name, or a FILE.py that holds one  "
    f"[default: {next(iter(DEFINITIONS))}]",
)
@click.option("--preset", type=click.Choice(list(PRESETS)), help="A recipe to begin with  [default: tutorial]")
@recipe_options
@click.option("--name", help="What to call the run.")
@click.option("--learner", metavar="NAME", help="Whose run it is: the name that one says on the page Lessons.")
@click.option(
    "--snapshots",
    type=int,
    help="How often it keeps its weights while it trains, for its film; in at most 2 % of the time.  "
    f"[default: {DEFAULT_SNAPSHOTS}]",
)
@click.option("--resume", metavar="RUN", help="Go on with this run instead; its recipe is kept.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each epoch.")
def train(
    model: str | None,
    preset: str | None,
    name: str | None,
    learner: str | None,
    snapshots: int | None,
    resume: str | None,
    as_json: bool,
    **recipe: Any,
) -> None:
    """Train a network. Ctrl-C stops it and keeps a checkpoint."""
    chosen = {field: value for field, value in recipe.items() if value is not None}
    processes = Processes() if is_one_of_several() else None
    try:
        if processes and not processes.is_first:
            return processes.follow()
        if processes and (begun := processes.run_before_restart()):
            run = find_run(begun)
            if run.status is Status.FINISHED or run.stop_requested:
                return _end_after_restart(run, processes)
        elif resume is None:
            if processes:
                chosen = {"threads": processes.threads_of_each()} | chosen
            made_by = None if learner is None else checked_learner(learner)
            definition = _network(model or next(iter(DEFINITIONS)), made_by)
            config = TrainingConfig(**(PRESETS[preset or "tutorial"] | chosen))
            device_for(config)  # a device that is not here is a bad argument, not a failed run
            if processes:
                require_an_image_for_each(processes.size, config.images_per_epoch, config.batch_size)
            count = DEFAULT_SNAPSHOTS if snapshots is None else snapshots
            run = create_run(definition, config, name, snapshots=count, made_by=made_by)
        elif model or preset or name or learner is not None or snapshots is not None or chosen:
            given = {
                "model": model,
                "preset": preset,
                "name": name,
                "learner": learner,
                "snapshots": snapshots,
            } | recipe
            options = ", ".join(f"--{field.replace('_', '-')}" for field, value in given.items() if value is not None)
            raise click.UsageError(f"A resumed run keeps its recipe and its name: leave out {options}.")
        else:
            run = find_run(resume)
            device_for(run.config)
        train_here(run, as_json, processes)
        if processes:
            processes.part()
    except InvalidConfig as error:
        raise click.BadParameter(str(error), param_hint=f"--{error.field.replace('_', '-')}") from error
    except (
        UnknownDefinition,
        CannotRead,
        UnfitName,
        NoSuchRun,
        RunBusy,
        RunFinished,
        InvalidName,
        InvalidLearner,
    ) as error:
        raise click.UsageError(str(error)) from error
    except LabError as error:
        raise click.ClickException(str(error)) from error


def _network(model: str, made_by: str | None) -> Definition:
    """Return the network of a name, or the one that a file holds, which is kept under the file's name."""
    if not model.endswith(".py"):
        return network_named(model)
    return keep_network(Path(model).stem, source_in(model), made_by)


def _end_after_restart(run: Run, processes: Processes) -> None:
    """End a run that was finished, or asked to stop, when one of its processes was lost."""
    if run.status is not Status.FINISHED:
        with RunWriter.claim(run) as writer:
            writer.go_back_to_checkpoint()
            writer.stopped()
    processes.dismiss()


def train_here(run: Run, as_json: bool, processes: Processes | None = None) -> None:
    """Train a run in this process, perhaps as one of several, and print what it tells; Ctrl-C stops it.

    Raises
    ------
    LabError
        If it cannot be trained, or fails.
    """
    with RunWriter.claim(run) as writer:
        writer.prepare_to_train()
        writer.starting()
        ask_to_stop = processes.ask_to_stop if processes else run.request_stop
        for sent in (signal.SIGINT, signal.SIGTERM):
            signal.signal(sent, lambda *_: ask_to_stop())
        _print_training(run, writer, as_json, processes)


def _print_training(run: Run, writer: RunWriter, as_json: bool, processes: Processes | None) -> None:
    if as_json:
        click.echo(json.dumps({"event": "run", "id": run.id}))
    else:
        click.echo(f"{run.name} ({run.id}): {run.config.epochs} epochs of {run.steps_per_epoch} steps")
        click.echo("epoch\tloss\ttest accuracy\tdrawn by people")
    checkpoint = run.load_checkpoint()
    done = checkpoint["position"]["step"] if checkpoint else 0
    with click.progressbar(length=run.total_steps, file=sys.stderr, hidden=as_json) as bar:
        bar.update(done)
        for event in work(processes.lead(run) if processes else run, writer, team=processes):
            match event:
                case EpochEvent() if as_json:
                    click.echo(json.dumps({"event": "epoch", **asdict(event)}))
                case EpochEvent():
                    if sys.stderr.isatty():
                        click.echo("\r\033[K", nl=False, err=True)  # the row takes the place of the bar
                    drawn = "-" if event.pen_accuracy is None else percent(event.pen_accuracy)
                    click.echo(f"{event.epoch}\t{event.train_loss:.4f}\t{percent(event.test_accuracy)}\t{drawn}")
                case _:
                    bar.update(1)
    if run.status is Status.STOPPED:
        click.echo(
            f"Stopped after step {run.history().step:,} of {run.total_steps:,}, with a checkpoint. "
            f"To go on: python -m cnnlab train --resume {run.id}",
            err=True,
        )
