"""The command line: ``python -m cnnlab`` with train, runs, predict, export, import, sweep, equivalence or bench."""

import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from cnnlab import bench
from cnnlab.data import mnist as data
from cnnlab.distributed import Processes, is_one_of_several
from cnnlab.drawing.photos import MOST_BYTES as MOST_PICTURE_BYTES
from cnnlab.drawing.photos import UnreadablePicture, picture_on_canvas
from cnnlab.drawing.preparation import prepare
from cnnlab.errors import LabError
from cnnlab.inference.images import Answer, answers_of
from cnnlab.models.definitions import DEFINITIONS, UnknownDefinition, definition_named
from cnnlab.proof import equivalence
from cnnlab.runs.archive import MOST_BYTES, export_run, import_run
from cnnlab.runs.folder import DRAWING_RUN, NoSuchRun
from cnnlab.runs.log import Status
from cnnlab.runs.names import InvalidName
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import all_runs, create_run, damaged_runs, find_run
from cnnlab.runs.writer import RunBusy, RunFinished, RunWriter
from cnnlab.scheduler import Scheduler
from cnnlab.sweeps.plan import InvalidSweep
from cnnlab.sweeps.plan_file import plan_in
from cnnlab.sweeps.sweep import NoSuchSweep, NotAllResumed, Sweep, find_sweep
from cnnlab.training.events import EpochEvent
from cnnlab.training.loop import require_an_image_for_each
from cnnlab.training.optimizers import OPTIMIZERS
from cnnlab.training.recipe import (
    DEVICES,
    KERNELS,
    MAX_SEED,
    MAX_THREADS,
    PRESETS,
    SCHEDULES,
    InvalidConfig,
    TrainingConfig,
    available_cores,
    device_for,
)
from cnnlab.worker import work

_TUTORIAL = TrainingConfig()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Train and compare the tutorial's two networks. The dashboard: streamlit run app.py"""


def recipe_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option for each field of `TrainingConfig`; those left out are None."""
    options = (
        click.option("--epochs", type=int, help=f"Passes over the training set  [default: {_TUTORIAL.epochs}]"),
        click.option("--batch-size", type=int, help=f"Images for each step  [default: {_TUTORIAL.batch_size}]"),
        click.option("--optimizer", help=f"One of {', '.join(OPTIMIZERS)}  [default: {_TUTORIAL.optimizer}]"),
        click.option("--learning-rate", type=float, help=f"[default: {_TUTORIAL.learning_rate}]"),
        click.option("--momentum", type=float, help=f"In Adam: the first beta  [default: {_TUTORIAL.momentum}]"),
        click.option("--weight-decay", type=float, help=f"[default: {_TUTORIAL.weight_decay:g}]"),
        click.option("--schedule", help=f"One of {', '.join(SCHEDULES)}  [default: {_TUTORIAL.schedule}]"),
        click.option("--augment/--no-augment", default=None, help="Change the images at random  [default: no]"),
        click.option("--shift", type=int, help=f"Pixels that images are moved by  [default: {_TUTORIAL.shift}]"),
        click.option("--validation", type=int, help="Training images to choose by, not trained on  [default: none]"),
        click.option("--seed", type=int, help=f"Of the weights and the order  [default: {_TUTORIAL.seed}]"),
        click.option("--device", help=f"One of {', '.join(DEVICES)}  [default: {_TUTORIAL.device}]"),
        click.option("--threads", type=int, help=f"CPU threads  [default: all, here {_TUTORIAL.threads}]"),
        click.option("--kernels", help=f"One of {', '.join(KERNELS)}  [default: {_TUTORIAL.kernels}]"),
    )
    for option in reversed(options):
        command = option(command)
    return command


@main.command()
@click.option("--model", help=f"One of {', '.join(DEFINITIONS)}  [default: {next(iter(DEFINITIONS))}]")
@click.option("--preset", type=click.Choice(list(PRESETS)), help="A recipe to begin with  [default: tutorial]")
@recipe_options
@click.option("--name", help="What to call the run.")
@click.option("--resume", metavar="RUN", help="Go on with this run instead; its recipe is kept.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each epoch.")
def train(
    model: str | None, preset: str | None, name: str | None, resume: str | None, as_json: bool, **recipe: Any
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
            definition = definition_named(model or next(iter(DEFINITIONS)))
            config = TrainingConfig(**(PRESETS[preset or "tutorial"] | chosen))
            device_for(config)  # a device that is not here is a bad argument, not a failed run
            if processes:
                require_an_image_for_each(processes.size, config.images_per_epoch, config.batch_size)
            run = create_run(definition, config, name)
        elif model or preset or name or chosen:
            given = {"model": model, "preset": preset, "name": name} | recipe
            options = ", ".join(f"--{field.replace('_', '-')}" for field, value in given.items() if value is not None)
            raise click.UsageError(f"A resumed run keeps its recipe and its name: leave out {options}.")
        else:
            run = find_run(resume)
            device_for(run.config)
        with RunWriter.claim(run) as writer:
            writer.prepare_to_train()
            writer.append("starting")
            ask_to_stop = processes.ask_to_stop if processes else run.request_stop
            for sent in (signal.SIGINT, signal.SIGTERM):
                signal.signal(sent, lambda *_: ask_to_stop())
            _print_training(run, writer, as_json, processes)
        if processes:
            processes.part()
    except InvalidConfig as error:
        raise click.BadParameter(str(error), param_hint=f"--{error.field.replace('_', '-')}") from error
    except (UnknownDefinition, NoSuchRun, RunBusy, RunFinished, InvalidName) as error:
        raise click.UsageError(str(error)) from error
    except LabError as error:
        raise click.ClickException(str(error)) from error


def _end_after_restart(run: Run, processes: Processes) -> None:
    """Let a run end that had nothing left to train, or was to stop, when one of its processes was lost."""
    if run.status is not Status.FINISHED:
        with RunWriter.claim(run) as writer:
            writer.end_at_checkpoint("stopped")
    processes.dismiss()


def _print_training(run: Run, writer: RunWriter, as_json: bool, processes: Processes | None) -> None:
    if as_json:
        click.echo(json.dumps({"event": "run", "id": run.id}))
    else:
        click.echo(f"{run.name} ({run.id}): {run.config.epochs} epochs of {run.steps_per_epoch} steps")
        click.echo("epoch\tloss\ttest accuracy")
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
                    click.echo(f"{event.epoch}\t{event.train_loss:.4f}\t{event.test_accuracy:.2%}")
                case _:
                    bar.update(1)
    if run.status is Status.STOPPED:
        click.echo(
            f"Stopped after step {run.history().step:,} of {run.total_steps:,}, with a checkpoint. "
            f"To go on: python -m cnnlab train --resume {run.id}",
            err=True,
        )


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each run.")
def runs(as_json: bool) -> None:
    """List the runs, the newest first."""
    for run in all_runs():
        if as_json:
            record = {
                "id": run.id,
                "name": run.name,
                "status": run.status,
                "model": run.model,
                "config": asdict(run.config),
            }
            click.echo(json.dumps(record))
        else:
            click.echo(f"{run.id}\t{run.status}\t{_result_of(run)}\t{run.name}")
    for damage in damaged_runs():
        click.echo(str(damage), err=True)


def _result_of(run: Run) -> str:
    if damage := run.damage():
        return f"damaged: {damage.file}"
    epoch = run.last_epoch()
    return f"epoch {epoch.epoch}, {epoch.test_accuracy:.2%}" if epoch else "-"


@main.command("equivalence")
@click.option("--steps", type=click.IntRange(1, 10_000), default=equivalence.STEPS, show_default=True)
@click.option("--seed", type=click.IntRange(0, MAX_SEED), default=equivalence.SEED, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each finding.")
def prove_equivalence(steps: int, seed: int, as_json: bool) -> None:
    """Prove that the tutorial's two networks are one."""
    try:
        for finding in equivalence.prove_equivalence(data.load(), steps, seed):
            click.echo(equivalence.to_json(finding) if as_json else equivalence.sentence_of(finding))
    except LabError as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--run", "run_id", default=DRAWING_RUN, show_default=True, metavar="RUN", help="The run that answers.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each file.")
def predict(files: tuple[str, ...], run_id: str, as_json: bool) -> None:
    """Say which digit each picture (PNG or JPEG) shows: the answer, and the probabilities of 0 to 9."""
    unread = 0
    torch.set_num_threads(1)  # more take longer to begin than one takes to answer
    try:
        run = find_run(run_id)
        for file in files:
            try:
                answer = _answer(run, file)
            except _Unread as error:
                unread += 1
                click.echo(f"{file}: {error}", err=True)
                continue
            probabilities = [round(float(each), 6) for each in answer.probabilities]
            if as_json:
                click.echo(json.dumps({"file": file, "digit": answer.digit, "probabilities": probabilities}))
            else:
                click.echo(f"{file}\t{answer.digit}\t" + " ".join(f"{each:.3f}" for each in probabilities))
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


@main.command()
@click.argument("run_id", metavar="RUN")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--checkpoint", is_flag=True, help="Take the state along from which training goes on.")
def export(run_id: str, file: Path, checkpoint: bool) -> None:
    """Write a run to a zip archive, to be imported elsewhere. FILE must not be there yet."""
    try:
        content = export_run(find_run(run_id), checkpoint=checkpoint)
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


@main.command("import")
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
            click.echo(f"{file}: It cannot be read ({error.strerror}).", err=True)
        except LabError as error:
            refused += 1
            click.echo(f"{file}: {error}", err=True)
    if refused:
        raise click.ClickException(f"{refused:,} of {len(files):,} files could not be imported.")


@main.command("sweep")
@click.argument("file", required=False, type=click.Path(path_type=Path), metavar="[FILE.toml]")
@click.option("--add-to", metavar="SWEEP", help="Train those runs of the plan that this sweep does not have.")
@click.option("--resume", metavar="SWEEP", help="Go on with those of its runs that have not finished instead.")
def train_sweep(file: Path | None, add_to: str | None, resume: str | None) -> None:
    """Train the runs of a plan, all combinations or random draws. Ctrl-C stops them; they keep their checkpoints."""
    if (file is None) == (resume is None) or (add_to and resume):
        raise click.UsageError("Give a plan, or --resume with a sweep, and not both.")
    try:
        if file is not None:
            name, plan = plan_in(file.read_text())
            if add_to:
                sweep = find_sweep(add_to)
                sweep.add(plan)
            else:
                sweep = Sweep.start(plan, name)
        else:
            sweep = find_sweep(str(resume))
            try:
                sweep.resume()
            except NotAllResumed as refusal:
                click.echo(str(refusal), err=True)
        click.echo(f"{sweep.name} ({sweep.id}): {sweep.count:,} runs", err=True)
        with closing(Scheduler(sweep.id)) as scheduler:
            _wait_for_the_runs_of(sweep, scheduler)
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{file} cannot be read: name a plan in TOML.") from error
    except (InvalidSweep, NoSuchSweep, InvalidConfig, InvalidName, UnknownDefinition) as error:
        raise click.UsageError(str(error)) from error
    except LabError as error:
        raise click.ClickException(str(error)) from error
    table = find_sweep(sweep.id).table()
    click.echo(table.to_csv(index=False, sep="\t"), nl=False)
    if failed := int((table["status"] == Status.FAILED).sum()):
        raise click.ClickException(f"{failed:,} of {len(table):,} runs failed; the dashboard says why.")


def _wait_for_the_runs_of(sweep: Sweep, scheduler: Scheduler) -> None:
    """Show how many have ended, until all have; a signal stops those that have not."""
    is_told_to_end = threading.Event()
    for sent in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sent, lambda *_: is_told_to_end.set())
    to_go_on = f"To go on: python -m cnnlab sweep --resume {sweep.id}"
    problem_told = None
    with click.progressbar(length=sweep.count, file=sys.stderr) as bar:
        while True:
            sweep = find_sweep(sweep.id)  # a search has made further runs
            active = [run for run in sweep.runs() if run.status.is_active]
            if not (active or sweep.is_searching):
                break
            bar.update(len(sweep.run_ids) - len(active) - bar.pos)
            problem = scheduler.cluster_problem
            if problem and not scheduler.was_on_cluster:
                _stop_all(sweep, scheduler)
                raise click.ClickException(f"{problem} {to_go_on}")
            if problem != problem_told:  # what waits keeps waiting
                click.echo(f"\n{problem or 'The Ray cluster is there again.'}", err=True)
                problem_told = problem
            if is_told_to_end.wait(timeout=0.5):
                _stop_all(sweep, scheduler)
                time.sleep(0.1)
        bar.update(len(sweep.run_ids) - bar.pos)
    if is_told_to_end.is_set():
        click.echo(f"Stopped. {to_go_on}", err=True)


def _stop_all(sweep: Sweep, scheduler: Scheduler) -> None:
    sweep.end_search()
    for run in sweep.runs():
        scheduler.stop(run)


@main.command("bench")
@click.option("--rounds", type=click.IntRange(1, bench.MAX_ROUNDS), default=bench.ROUNDS, show_default=True)
@click.option("--chunk", type=click.IntRange(1, bench.MAX_CHUNK), default=bench.CHUNK, show_default=True)
@click.option("--threads", type=click.IntRange(1, MAX_THREADS), help=f"[default: all, here {available_cores()}]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each loop.")
def measure_loops(rounds: int, chunk: int, threads: int | None, as_json: bool) -> None:
    """Measure the lab's training loop against the tutorial's, Keras' and Lightning's, those that are installed.

    Each loop trains ROUNDS times CHUNK batches, in turn with the others. Nothing else should run meanwhile.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it ends the loops' processes as Ctrl-C does
    try:
        measurement = bench.measure(rounds, chunk, threads or available_cores(), partial(click.echo, err=True))
    except LabError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        for record in bench.records_of(measurement):
            click.echo(json.dumps(record))
        for line in bench.left_out_lines(measurement):
            click.echo(line, err=True)
    else:
        click.echo(bench.table_of(measurement))
    if measurement.failures:
        raise click.ClickException(" ".join(measurement.failures))
