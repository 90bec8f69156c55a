"""The command line: ``python -m cnnlab`` with train, fine-tune, runs, star, note, set, predict, translate, export,
import, sweep, equivalence or bench."""

import sys
from io import TextIOWrapper

import click

from cnnlab.cli.fine_tune import fine_tune
from cnnlab.cli.measure import measure_loops, prove_equivalence
from cnnlab.cli.predict import predict
from cnnlab.cli.runs import export, import_files, note, runs, set_learning_rate, star
from cnnlab.cli.sweep import train_sweep
from cnnlab.cli.train import train
from cnnlab.cli.translate import translate


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Train and compare the tutorial's two networks. The dashboard: streamlit run app.py"""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what this terminal cannot print is printed as its code
            stream.reconfigure(errors="backslashreplace")


for command in (
    train,
    fine_tune,
    runs,
    star,
    note,
    set_learning_rate,
    prove_equivalence,
    predict,
    translate,
    export,
    import_files,
    train_sweep,
    measure_loops,
):
    main.add_command(command)
