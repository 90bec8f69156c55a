"""All that belongs to a learner: what he answered, drew, wrote and trained."""

from contextlib import suppress

from cnnlab.drawing.my_digits import delete_all
from cnnlab.lessons.notebook import forget
from cnnlab.networks.shelf import damaged_networks, delete_damaged_network, delete_network, kept_networks
from cnnlab.runs.folder import NoSuchRun, maker_of, runs_folder
from cnnlab.runs.log import Status
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import all_runs, delete_runs, delete_unreadable_run, unreadable_runs
from cnnlab.runs.writer import RunBusy
from cnnlab.storage.learners import is_same_learner, maker_told_in
from cnnlab.sweeps.folder import delete_file, ids_told_to_be_of


def delete_belongings(name: str) -> None:
    """Delete all that belongs to a name.

    Raises
    ------
    RunBusy
        If one of its runs trains.
    HomeError
        If the home cannot be written.
    """
    for run in _runs_of(name):
        if run.status is Status.RUNNING:
            raise RunBusy(f"{run.name} is being trained: stop it first. Nothing was deleted.")
    for sweep_id in ids_told_to_be_of(name):
        delete_file(sweep_id)
    delete_runs(_runs_of(name))  # asked for again: a search may have made one just now
    for unreadable in unreadable_runs():
        if is_same_learner(maker_of(runs_folder() / unreadable.run_id), name):
            with suppress(NoSuchRun):  # from another tab just now
                delete_unreadable_run(unreadable.run_id)
    for kept in kept_networks():
        if is_same_learner(kept.made_by, name):
            delete_network(kept)
    for path in damaged_networks():
        if is_same_learner(maker_told_in(path), name):
            delete_damaged_network(path)
    delete_all(name)
    forget(name)


def _runs_of(name: str) -> list[Run]:
    return [run for run in all_runs() if is_same_learner(run.made_by, name)]
