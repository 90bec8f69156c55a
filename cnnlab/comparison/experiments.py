"""Experiments: runs that differ in nothing but their seed. And how experiments differ."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

import pandas as pd

from cnnlab.comparison.labels import labels_of_groups, learning_rates_of
from cnnlab.fine_tuning.start import FineTuning
from cnnlab.models.definitions import Definition, UnknownDefinition
from cnnlab.models.sources import definition_of
from cnnlab.runs.log import Status
from cnnlab.runs.run import Run
from cnnlab.training.recipe import SETTINGS, TrainingConfig

DEFINITION, CHANGES, USED_BACKEND = "definition", "changes of the learning rate", "backend used"
BEGINS_WITH = "begins with"


@dataclass(frozen=True)
class Experiment:
    """A network and a recipe, to be trained with one seed or several.

    Attributes
    ----------
    model, source
        The definition's name, and its source when the run was made.
    config
        The recipe, with its seed set to 0.
    learning_rates
        Those that somebody set while it trained, each with the step from which it holds.
    fine_tuning
        What it begins with in place of random weights, if anything.
    """

    model: str
    source: str
    config: TrainingConfig
    learning_rates: tuple[tuple[int, float], ...] = ()
    fine_tuning: FineTuning | None = None

    def with_seed(self, seed: int) -> TrainingConfig:
        """Return the recipe with a seed."""
        return replace(self.config, seed=seed)

    @property
    def has_network(self) -> bool:
        """Whether its network is registered, and as it was, or can be read."""
        with suppress(UnknownDefinition):
            return bool(self.definition)
        return False

    @property
    def can_be_repeated(self) -> bool:
        """Whether a new run could do the same: its network is here, it begins with random weights, and nobody changed
        the learning rate meanwhile."""
        return self.has_network and not self.learning_rates and self.fine_tuning is None

    @property
    def definition(self) -> Definition:
        """The network.

        Raises
        ------
        UnknownDefinition
            If there is none any more.
        """
        return definition_of(self.model, self.source)


def experiment_of(run: Run) -> Experiment:
    """Return the experiment that a run belongs to."""
    return Experiment(run.model, run.source, replace(run.config, seed=0), learning_rates_of(run), run.fine_tuning)


def by_experiment(runs: Iterable[Run]) -> dict[Experiment, list[Run]]:
    """Group runs by experiment, in the order in which they come."""
    groups: dict[Experiment, list[Run]] = {}
    for run in runs:
        groups.setdefault(experiment_of(run), []).append(run)
    return groups


def folded_labels_of(runs: Sequence[Run]) -> list[str]:
    """Label runs, with one label for all runs of an experiment, which names its seeds."""
    groups = list(by_experiment(runs).values())
    labels = {run.id: label for group, label in zip(groups, labels_of_groups(groups), strict=True) for run in group}
    return [labels[run.id] for run in runs]


def by_seed(experiment: Experiment, runs: Iterable[Run]) -> dict[int, Run]:
    """Return the runs of an experiment by seed: those that are finished, and else those that will be.

    Of several with one seed, the first that comes.
    """
    found: dict[int, Run] = {}
    # The learning rates are read off the log: of those runs alone that are else the same.
    alike = [run for run in runs if (run.model, replace(run.config, seed=0)) == (experiment.model, experiment.config)]
    of_experiment = [run for run in alike if experiment_of(run) == experiment]
    for run in sorted(of_experiment, key=lambda run: run.status is not Status.FINISHED):
        if run.status is Status.FINISHED or run.status.is_active:
            found.setdefault(run.config.seed, run)
    return found


def differing_settings(runs: Sequence[Run]) -> pd.DataFrame:
    """Return the settings that are not the same in all runs: a row for each setting, a column for each run.

    The definition is one of them, and so is `USED_BACKEND`: what an "auto" backend has come to.
    """
    told = [
        {
            DEFINITION: run.title,
            **asdict(run.config),
            BEGINS_WITH: begins_with(run),
            CHANGES: ", ".join(f"{rate:g} from step {step:,}" for step, rate in learning_rates_of(run)) or "none",
            USED_BACKEND: run.history().kernels,
        }
        for run in runs
    ]
    settings = pd.DataFrame(told).T
    if settings.loc[USED_BACKEND].isna().any() or settings.loc["kernels"].nunique() > 1:
        settings = settings.drop(index=USED_BACKEND)  # one has not begun, or its recipe says it already
    return settings[settings.nunique(axis=1) > 1]


def begins_with(run: Run) -> str:
    """Return what a run begins with, in words."""
    return run.fine_tuning.told_apart if run.fine_tuning else "random weights"


def name_of(setting: str) -> str:
    """Return what people call a row of `differing_settings`."""
    return SETTINGS[setting].label if setting in SETTINGS else setting.capitalize()
