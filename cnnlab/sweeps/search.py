"""A search for the best settings: Optuna proposes each run by those before it, and stops runs that fall behind.

What it knows it reads off the sweep's runs each time, so a search goes on wherever a scheduler looks after the home. It
goes by the accuracy on training images that the runs do not train on, and never looks at the test set.
"""

import traceback
from contextlib import suppress
from typing import Any

from cnnlab.errors import LabError
from cnnlab.models.definitions import Definition, UnknownDefinition
from cnnlab.runs.log import Status
from cnnlab.runs.queue import enqueue
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import create_run
from cnnlab.sweeps.plan import Between, Plan, Search, is_whole, setting_of
from cnnlab.sweeps.sweep import Sweep, all_sweeps
from cnnlab.training.recipe import InvalidConfig, TrainingConfig

# So often another run is asked for where the one that is proposed has been made.
_MOST_PROPOSALS = 200


def advance_searches(sweep_id: str | None = None) -> None:
    """Do what there is to do for a search, or for all in the lab's home: stop runs, or make one more."""
    for sweep in all_sweeps():
        if sweep.is_searching and sweep_id in (None, sweep.id):
            with suppress(LabError):  # its file was damaged, or the home was full, for a moment; the next look tells
                try:
                    _advance(sweep)
                except LabError:
                    raise
                except Exception:  # whatever it was, the others must not wait for ever, nor this one seem to go on
                    traceback.print_exc()
                    sweep.end_search()


def _advance(sweep: Sweep) -> None:
    made: list[Run] = []
    with sweep.changing():
        search = sweep.search
        if search is None or not sweep.is_searching:  # somebody has just ended it
            return
        runs = sweep.runs()
        active = [run for run in runs if run.status.is_active]
        for run in runs_behind(sweep):
            sweep.pruned_ids.append(run.id)
            run.request_stop()
        if len(sweep.run_ids) < search.runs and len(active) < search.at_once:
            if recipe := proposal(sweep):
                made = [create_run(*recipe, sweep_id=sweep.id, snapshots=0, made_by=sweep.made_by)]
                sweep.run_ids += [run.id for run in made]
            else:
                sweep.is_searching = False  # all that can be tried has been
        elif not active:
            sweep.is_searching = False
    for run in made:  # only now: a run that trains stands in its sweep, whenever this process is killed
        enqueue(run)


def proposal(sweep: Sweep) -> tuple[Definition, TrainingConfig] | None:
    """Return the run that a search makes next; None if it finds none that it has not made."""
    had = {(run.model, run.config) for run in sweep.runs()}
    study, _ = _study_of(sweep)
    plan = sweep.plans[0]
    for _ in range(_MOST_PROPOSALS):
        proposed = study.ask(_distributions(plan)).params
        settings = {name: _chosen(value, proposed.get(name)) for name, value in plan.settings.items()}
        # Each setting is allowed, and not all of them together; or a network has been deleted.
        with suppress(InvalidConfig, UnknownDefinition):
            definition, config = plan.recipe(settings)
            if (definition.name, config) not in had:
                return definition, config
    return None


def runs_behind(sweep: Sweep) -> list[Run]:
    """Return the runs in training whose best accuracy so far is below the median of the others' at that epoch.

    As `optuna.pruners.MedianPruner` has it, there is none before five runs have ended.
    """
    study, trials = _study_of(sweep)
    in_training = [run for run in sweep.runs() if run.status is Status.RUNNING and run.id not in sweep.pruned_ids]
    return [run for run in in_training if run.id in trials and study.pruner.prune(study, trials[run.id])]


def _study_of(sweep: Sweep) -> tuple[Any, dict[str, Any]]:
    """Return a search as an Optuna study, and its trials by the runs' identifiers."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    plan, runs = sweep.plans[0], sweep.runs()
    study = optuna.create_study(
        direction="maximize", sampler=_sampler(plan.search, len(sweep.run_ids)), pruner=optuna.pruners.MedianPruner()
    )
    distributions = _distributions(plan)
    known = []
    for run in runs:
        with suppress(LabError, ValueError):  # one that is damaged or deleted, or no such plan's, is left out
            study.add_trial(_trial_of(run, sweep, distributions))
            known.append(run.id)
    return study, dict(zip(known, study.trials, strict=True))


def _trial_of(run: Run, sweep: Sweep, distributions: dict[str, Any]) -> Any:
    from optuna.trial import create_trial

    values = {epoch.epoch: epoch.validation_accuracy for epoch in run.epochs() if epoch.validation_accuracy is not None}
    state, value = _state_of(run, sweep, values)
    params = {name: setting_of(run, name) for name in distributions}
    return create_trial(
        params=params, distributions=distributions, intermediate_values=values, state=state, value=value
    )


def _state_of(run: Run, sweep: Sweep, values: dict[int, float]) -> tuple[Any, float | None]:
    from optuna.trial import TrialState

    match run.status:
        case Status.FINISHED if values:
            return TrialState.COMPLETE, values[max(values)]
        case Status.FAILED:
            return TrialState.FAIL, None
        case _ if run.id in sweep.pruned_ids and values:
            return TrialState.PRUNED, None
        case _:
            return TrialState.RUNNING, None


def _sampler(search: Search | None, runs_so_far: int) -> Any:
    from optuna.samplers import RandomSampler, TPESampler

    assert search is not None
    seed = (search.seed + runs_so_far) % 2**32  # each run makes a sampler of its own
    return RandomSampler(seed) if search.sampler == "random" else TPESampler(seed=seed, constant_liar=True)


def _distributions(plan: Plan) -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    distributions: dict[str, Any] = {}
    for name, value in plan.settings.items():
        match value:
            case Between() if is_whole(name):
                distributions[name] = IntDistribution(round(value.low), round(value.high), log=value.is_logarithmic)
            case Between():
                distributions[name] = FloatDistribution(value.low, value.high, log=value.is_logarithmic)
            case tuple() if len(value) > 1:
                distributions[name] = CategoricalDistribution(value)
    return distributions


def _chosen(planned: Any, proposed: Any) -> Any:
    match planned:
        case Between() if isinstance(proposed, float):
            return planned.rounded(proposed)
        case tuple() if len(planned) == 1:
            return planned[0]
        case Between() | tuple():
            return proposed
        case _:
            return planned
