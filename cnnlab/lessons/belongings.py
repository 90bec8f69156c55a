"""All that belongs to a learner: what he answered, drew, wrote and trained."""

from cnnlab.drawing.my_digits import delete_all
from cnnlab.lessons.notebook import forget
from cnnlab.networks.shelf import delete_network, kept_networks
from cnnlab.runs.log import Status
from cnnlab.runs.shelf import all_runs, delete_run
from cnnlab.runs.writer import RunBusy
from cnnlab.sweeps.sweep import all_sweeps, delete_sweep


def delete_belongings(name: str) -> None:
    """Delete all that belongs to a name.

    Raises
    ------
    RunBusy
        If one of its runs trains: then nothing is deleted.
    HomeError
        If the home cannot be written.
    """
    runs = [run for run in all_runs() if run.made_by == name]
    for run in runs:
        if run.status is Status.RUNNING:
            raise RunBusy(f"{run.name} is being trained: stop it first. Nothing was deleted.")
    for sweep in all_sweeps():
        if sweep.made_by == name:
            delete_sweep(sweep)
    for run in runs:
        delete_run(run)
    for kept in kept_networks():
        if kept.made_by == name:
            delete_network(kept)
    delete_all(name)
    forget(name)
