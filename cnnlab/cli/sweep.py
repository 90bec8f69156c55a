"""``sweep``: many runs by one plan."""

import signal
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import click

from cnnlab.errors import LabError
from cnnlab.models.definitions import UnknownDefinition
from cnnlab.runs.log import Status
from cnnlab.runs.names import InvalidName
from cnnlab.storage.learners import InvalidLearner, checked_learner
from cnnlab.sweeps.folder import NoSuchSweep
from cnnlab.sweeps.plan import InvalidSweep
from cnnlab.sweeps.plan_file import MOST_BYTES, plan_in
from cnnlab.sweeps.sweep import NotAllResumed, Sweep, find_sweep
from cnnlab.training.recipe import (
    InvalidConfig,
)
from cnnlab.workers.scheduler import Scheduler


@click.command("sweep")
@click.argument("file", required=False, type=click.Path(path_type=Path), metavar="[FILE.toml]")
@click.option("--add-to", metavar="SWEEP", help="Train those runs of the plan that this sweep does not have.")
@click.option("--resume", metavar="SWEEP", help="Go on with those of its runs that have not finished instead.")
@click.option("--learner", metavar="NAME", help="Whose runs they are: the name that one says on the page Lessons.")
def train_sweep(file: Path | None, add_to: str | None, resume: str | None, learner: str | None) -> None:
    """Train the runs of a plan, all combinations or random draws. Ctrl-C stops them; they keep their checkpoints."""
    if (file is None) == (resume is None) or (add_to and resume):
        raise click.UsageError("Give a plan, or --resume with a sweep, and not both.")
    if resume and learner is not None:
        raise click.UsageError("Resumed runs stay whose they are: leave out --learner.")
    try:
        made_by = None if learner is None else checked_learner(learner)
        if file is not None:
            with file.open("rb") as opened:
                name, plan = plan_in(opened.read(MOST_BYTES + 1))
            if add_to:
                sweep = find_sweep(add_to)
                sweep.add(plan, made_by)
            else:
                sweep = Sweep.start(plan, name, made_by)
        else:
            sweep = find_sweep(str(resume))
            try:
                sweep.resume()
            except NotAllResumed as refusal:
                click.echo(str(refusal), err=True)
        click.echo(f"{sweep.name} ({sweep.id}): {sweep.count:,} runs", err=True)
        with closing(Scheduler(sweep.id)) as scheduler:
            _wait_for_the_runs_of(sweep, scheduler)
    except OSError as error:
        raise click.UsageError(f"{file} cannot be read: name a plan in TOML.") from error
    except (InvalidSweep, NoSuchSweep, InvalidConfig, InvalidName, InvalidLearner, UnknownDefinition) as error:
        raise click.UsageError(str(error)) from error
    except LabError as error:
        raise click.ClickException(str(error)) from error
    table = find_sweep(sweep.id).table()
    click.echo(table.to_csv(index=False, sep="\t"), nl=False)
    if failed := int((table["status"] == Status.FAILED).sum()):
        raise click.ClickException(f"{failed:,} of {len(table):,} runs failed; the dashboard says why.")


def _wait_for_the_runs_of(sweep: Sweep, scheduler: Scheduler) -> None:
    """Show progress until all runs have ended; a signal stops those that have not."""
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
