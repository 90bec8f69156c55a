"""``equivalence`` and ``bench``: the proof and the benchmark."""

import json
import signal
from functools import partial

import click

from cnnlab.bench.loops import MAX_CHUNK
from cnnlab.bench.measure import CHUNK, MAX_ROUNDS, ROUNDS, measure
from cnnlab.bench.report import left_out_lines, records_of, table_of
from cnnlab.cli.translate import source_in
from cnnlab.data import mnist as data
from cnnlab.errors import LabError
from cnnlab.models.definitions import Definition
from cnnlab.models.reading.source import read
from cnnlab.models.reading.understanding import understand
from cnnlab.models.sources import read_definition
from cnnlab.models.writing import FORMS, in_other_form
from cnnlab.proof import equivalence
from cnnlab.storage.cores import available_cores
from cnnlab.training.recipe import MAX_SEED, MAX_THREADS


@click.command("equivalence")
@click.argument("file", metavar="[FILE", required=False)
@click.argument("other", metavar="[OTHER]]", required=False)
@click.option("--steps", type=click.IntRange(1, 10_000), default=equivalence.STEPS, show_default=True)
@click.option("--seed", type=click.IntRange(0, MAX_SEED), default=equivalence.SEED, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each finding.")
def prove_equivalence(file: str | None, other: str | None, steps: int, seed: int, as_json: bool) -> None:
    """Prove that the tutorial's two networks are one.

    With FILE, prove it of the network in it and its other form, which the lab writes; with OTHER too, of both files'.
    They are read, and never executed.
    """
    try:
        pair = _pair_in(file, other) if file else None
    except LabError as error:
        raise click.UsageError(str(error)) from error
    try:
        mnist = data.load()
        for finding in (
            equivalence.prove_pair(*pair, mnist, steps, seed)
            if pair
            else equivalence.prove_equivalence(mnist, steps, seed)
        ):
            click.echo(equivalence.to_json(finding) if as_json else equivalence.sentence_of(finding))
    except LabError as error:
        raise click.ClickException(str(error)) from error


def _pair_in(file: str, other: str | None) -> tuple[Definition, Definition]:
    """Return the networks in two files, or the one in a file and its other form, by names that tell them apart."""
    first = source_in(file)
    read_definition(file, first)  # what has a mistake cannot be written otherwise
    second = source_in(other) if other else in_other_form(understand(read(first)))
    names = [FORMS[read(each).form] for each in (first, second)]
    if other and names[0] == names[1]:
        names = [file, other]
    return read_definition(names[0], first), read_definition(names[1], second)


@click.command("bench")
@click.option("--rounds", type=click.IntRange(1, MAX_ROUNDS), default=ROUNDS, show_default=True)
@click.option("--chunk", type=click.IntRange(1, MAX_CHUNK), default=CHUNK, show_default=True)
@click.option("--threads", type=click.IntRange(1, MAX_THREADS), help=f"[default: all, here {available_cores()}]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each loop.")
def measure_loops(rounds: int, chunk: int, threads: int | None, as_json: bool) -> None:
    """Measure the lab's training loop, with either backend, against the tutorial's.

    Each loop trains ROUNDS times CHUNK batches, in turn with the others. Nothing else should run meanwhile.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it ends the loops' processes as Ctrl-C does
    try:
        measurement = measure(rounds, chunk, threads or available_cores(), partial(click.echo, err=True))
    except LabError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        for record in records_of(measurement):
            click.echo(json.dumps(record))
        for line in left_out_lines(measurement):
            click.echo(line, err=True)
    else:
        click.echo(table_of(measurement))
    if measurement.failures:
        raise click.ClickException(" ".join(measurement.failures))
