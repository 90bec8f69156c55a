"""What a sweep answers: which value of a setting is best, over seeds, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cnnlab.comparison.experiments import name_of
from cnnlab.comparison.labels import said
from cnnlab.comparison.outcomes import is_chance
from cnnlab.comparison.seeds import OverSeeds, best_first, difference
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.log import Status
from cnnlab.training.recipe import SETTINGS
from cnnlab.wording import percent, plural


@dataclass(frozen=True)
class Value:
    """A value of a setting, or a combination of several, with the runs that were trained with it to their end.

    Attributes
    ----------
    settings
        The fields that differ from run to run, but for the seed, and what these runs have for them.
    run_ids
        The runs' identifiers.
    seeds
        Their accuracies.
    collapsed
        How many of them learned nothing. They count like any other: a value that fails with some seeds is no good one.
    """

    settings: dict[str, Any]
    run_ids: tuple[str, ...]
    seeds: OverSeeds
    collapsed: int

    @property
    def name(self) -> str:
        """What people call it: "learning rate 0.003, 3 epochs"."""
        return ", ".join(_said(name, value) for name, value in self.settings.items())


def values_of(table: pd.DataFrame, tried: Sequence[str], accuracy: str) -> list[Value]:
    """Return what came of each value that a sweep tried, the one with the best mean first.

    Parameters
    ----------
    table
        As `Sweep.table` returns it. Runs that have not finished count for nothing.
    tried
        The fields that differ from run to run.
    accuracy
        The column to go by.
    """
    finished = table[(table["status"] == Status.FINISHED) & table[accuracy].notna()]
    fields = [name for name in tried if name != "seed"]
    groups = [group for _, group in finished.groupby(fields, sort=False)] if fields else [finished]
    values = [
        Value(
            {name: group[name].iloc[0] for name in fields},
            tuple(group["run"]),
            OverSeeds(tuple(group[accuracy])),
            sum(is_chance(share) for share in group["test_accuracy"]),
        )
        for group in groups
        if len(group)
    ]
    return [values[place] for place in best_first([value.seeds for value in values])]


def answer(values: Sequence[Value], *, is_running: bool) -> str:
    """Return in words which value is best, how sure that is, and whether the next best is worse by more than chance.

    Parameters
    ----------
    values
        At least one, as `values_of` returns them.
    is_running
        Whether further runs may change the answer.
    """
    best, *others = values
    begin = "So far, " if is_running else ""
    if not best.settings:
        ends = sorted(best.seeds.accuracies)
        spread = f", from {percent(ends[0])} to {percent(ends[-1])}: so far chance alone moves it" if ends[1:] else ""
        return f"{begin}{'the' if begin else 'The'} mean accuracy is {best.seeds.in_words()}{spread}."
    name = best.name if begin else best.name[:1].upper() + best.name[1:]
    told = f"{begin}{name} has the best mean accuracy: {best.seeds.in_words()}."
    if not others:
        return f"{told} No other value has a finished run."
    found = difference(best.seeds, others[0].seeds)
    next_best = f"The next best is {others[0].name} with {others[0].seeds.in_words()}"
    return f"{told} {next_best}: a difference of {found.in_words()}."


def collapses(values: Sequence[Value]) -> str:
    """Return in a sentence with which values runs collapsed; empty if with none."""
    told = [
        f"{value.collapsed} of {plural(value.seeds.count, 'run')}{f' with {value.name}' if value.name else ''}"
        for value in values
        if value.collapsed
    ]
    return f"Collapsed, and counted as they are: {'; '.join(told)}." if told else ""


def _said(name: str, value: Any) -> str:
    if name == "model":
        return DEFINITIONS[value].title if value in DEFINITIONS else str(value)
    if name in ("learning_rate", "batch_size", "optimizer", "schedule", "augment", "kernels"):
        setting = SETTINGS[name]
        return f"{name_of(name).lower()} {setting.written(value)}"
    return said(name, value)
