"""The runs that the lab chooses by itself: those that answer a page's question.

Never one that failed, collapsed or has not ended, nor one of the many of a sweep: none of them was made to be looked at
alone.
"""

from collections.abc import Iterable, Set

from cnnlab.comparison.experiments import experiment_of
from cnnlab.comparison.outcomes import is_good
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.folder import DRAWING_RUN, DamagedRun, NoSuchRun
from cnnlab.runs.run import Run
from cnnlab.sweeps.sweep import all_sweeps
from cnnlab.training.recipe import TrainingConfig

_TUTORIALS = tuple(name for name, definition in DEFINITIONS.items() if definition.tutorial_losses)


def runs_of_sweeps() -> set[str]:
    """Return the identifiers of all runs that sweeps have made."""
    return {run_id for sweep in all_sweeps() for run_id in sweep.run_ids}


def pair_to_compare(runs: Iterable[Run], swept: Set[str]) -> list[Run]:
    """Return the newest two runs that differ in nothing but how the tutorial's network is written.

    Parameters
    ----------
    runs
        The newest first; those that ship with the lab, the last, are such a pair.
    swept
        The identifiers of the runs of sweeps.

    Returns
    -------
    list
        A run of each of the tutorial's definitions, in their order, with one recipe and one seed; empty if there are no
        two.
    """
    found: dict[TrainingConfig, dict[str, Run]] = {}
    for run in runs:
        if not (run.model in _TUTORIALS and run.source == DEFINITIONS[run.model].source):
            continue  # it is another network by now
        if run.id not in swept and run.fine_tuning is None and _can_be_shown(run):
            pair = found.setdefault(run.config, {})
            pair.setdefault(run.model, run)
            if len(pair) == len(_TUTORIALS):
                return [pair[name] for name in _TUTORIALS]
    return []


def newest_good(runs: Iterable[Run], swept: Set[str]) -> Run | None:
    """Return the newest run that trained to its end and reads digits well; None if there is none.

    Parameters are those of `pair_to_compare`.
    """
    return next((run for run in runs if run.id not in swept and _can_be_shown(run)), None)


def networks_to_draw_for(runs: Iterable[Run], swept: Set[str]) -> list[Run]:
    """Return the run that is best at what people draw, and the newest good one of the others.

    Parameters are those of `pair_to_compare`.
    """
    runs = list(runs)
    best = [run for run in runs if run.id == DRAWING_RUN]
    newest = newest_good((run for run in runs if run.id != DRAWING_RUN), swept)
    return best + ([newest] if newest else [])


def _can_be_shown(run: Run) -> bool:
    """Return whether a run is good, and its network is still what the run was made from."""
    try:
        return is_good(run) and experiment_of(run).has_network
    except (NoSuchRun, DamagedRun):  # deleted or damaged just now
        return False
