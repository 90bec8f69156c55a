"""What runs are called: by what differs from the tutorial's recipe, and from the runs beside them.

A label is computed each time from the run and its neighbours, whatever their order, and stored nowhere. A name that a
person gave stands before it.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.folder import UnreadableRun
from cnnlab.runs.run import Run
from cnnlab.training.recipe import PRESETS, SETTINGS, TrainingConfig
from cnnlab.training.setting_kinds import Choice

# More than so many parts of a recipe are counted, not named.
MOST_PARTS = 4
_MOST_CHANGES = 2
# They change a loss in its last digits at most: a label names them only where nothing else differs.
MACHINE = ("threads", "kernels", "device")
# Those that people play with come first.
_FIRST = ("optimizer", "learning_rate", "epochs", "batch_size")
_RECIPE = tuple(dict.fromkeys(name for name in (*_FIRST, *SETTINGS) if name not in ("seed", *MACHINE)))
_SHORT = {"learning_rate": "lr {}", "batch_size": "batch {}", "shift": "shift {}", "validation": "{} held out"}
_PRESET_NAMES = {"drawing": "for drawing", "speedrun": "speedrun"}
_TUTORIAL = TrainingConfig()
_SEPARATOR = " · "


def labels_of(runs: Sequence[Run]) -> list[str]:
    """Return a label for each run, such as "Sequential · lr 0.003 · 3 epochs"; no two are the same.

    A seed is named where it is not 0 or where runs beside it differ in nothing else; threads, backend and device where
    runs of one seed differ in them; and the identifier where nothing differs that has a name.
    """
    names = [run.name for run in runs]
    labels = []
    for run, name, parts in zip(runs, names, _parts_of(runs), strict=True):
        title = short_title(run)
        if run.is_reference or run.fine_tuning:  # its name says what it is for
            labels.append(name)
        elif name == f"{run.title}, seed {run.config.seed}":  # the lab's own
            labels.append(_SEPARATOR.join([title, *parts]))
        elif title.casefold() in name.casefold():
            labels.append(_SEPARATOR.join([name, *parts]))
        else:
            labels.append(_SEPARATOR.join([name, title, *parts]))
    return _distinct(runs, labels)


def label_of(run: Run) -> str:
    """Return the label of a run that stands alone."""
    return labels_of([run])[0]


def labels_of_groups(groups: Sequence[Sequence[Run]]) -> list[str]:
    """Return a label for each group of runs that differ in nothing but their seed; no two are the same.

    A group of one is called what `labels_of` calls it; of the others, all seeds are named.
    """
    firsts = [group[0] for group in groups]
    labels = labels_of(firsts)
    for place, (group, parts) in enumerate(zip(groups, _parts_of(firsts, with_seed=False), strict=True)):
        if len(group) > 1 and not group[0].fine_tuning:
            seeds = _ranges(sorted({run.config.seed for run in group}))
            labels[place] = _SEPARATOR.join([short_title(group[0]), *parts, f"seeds {seeds}"])
    return _distinct(firsts, labels)


def short_title(run: Run) -> str:
    """Return what a label calls the definition: Sequential, Module."""
    return run.title.removeprefix("nn.")


def recipe_in_words(run: Run) -> list[str]:
    """Return a run's recipe in words, a part for each setting, and the learning rates that were set meanwhile."""
    begun = [run.fine_tuning.told] if run.fine_tuning else []
    return [*begun, *run.config.described(), *_changes_told(run, f"{rate_name(run)} ")]


def rate_name(run: Run) -> str:
    """Return what a change of a run's learning rate changes: with a schedule that is the highest one."""
    return "learning rate" if run.config.schedule == "constant" else "highest learning rate"


def _changes_told(run: Run, before: str) -> list[str]:
    """Return a part for each change of a run's learning rate; of many, how many there are."""
    changes = learning_rates_of(run)
    if len(changes) > _MOST_CHANGES:
        return [f"{before}changed {len(changes):,} times"]
    return [f"{before}{rate:g} from step {step:,}" for step, rate in changes]


def learning_rates_of(run: Run) -> tuple[tuple[int, float], ...]:
    """Return those that were set while a run trained; none where its log cannot be read, which is told elsewhere."""
    with suppress(UnreadableRun):
        return tuple(run.learning_rates.items())
    return ()


def said(name: str, value: Any) -> str:
    """Return the part of a label for a setting's value: "lr 0.003", "3 epochs", "AdamW"."""
    setting = SETTINGS[name]
    written = setting.title(value) if isinstance(setting, Choice) else setting.written(value)
    return _SHORT.get(name, setting.phrase).format(written)


def _parts_of(runs: Sequence[Run], *, with_seed: bool = True) -> list[list[str]]:
    """Return the parts of each run's label behind its name and its definition."""
    recipes = [_recipe_of(run) for run in runs]
    alike_at_first = [(short_title(run), _deviations(run.config, frozenset())) for run in runs]
    configs = _gathered(alike_at_first, [run.config for run in runs])
    seeds = _gathered(recipes, [run.config.seed for run in runs])
    parts = []
    for run, recipe, first in zip(runs, recipes, alike_at_first, strict=True):
        own = list(_deviations(run.config, _varying_in(frozenset(configs[first]))))
        own += _changes_told(run, "lr ")
        if with_seed and (run.config.seed != _TUTORIAL.seed or len(seeds[recipe]) > 1):
            own.append(said("seed", run.config.seed))
        parts.append(own)
    alike = [(recipe, run.config.seed) for recipe, run in zip(recipes, runs, strict=True)]
    for name in MACHINE:
        values = _gathered(alike, [getattr(run.config, name) for run in runs])
        for run, own, key in zip(runs, parts, alike, strict=True):
            if len(values[key]) > 1:
                own.append(said(name, getattr(run.config, name)))
    for run, own in zip(runs, parts, strict=True):
        definition = DEFINITIONS.get(run.model)
        if definition is not None and definition.source != run.source:
            own.append("other source")
    return parts


@lru_cache(maxsize=16_384)
def _deviations(config: TrainingConfig, varying: frozenset[str]) -> tuple[str, ...]:
    """Return what differs from the tutorial's recipe: by the name of a preset, or setting by setting."""
    for preset, called in _PRESET_NAMES.items():
        if all(getattr(config, name) == PRESETS[preset].get(name, getattr(_TUTORIAL, name)) for name in _RECIPE):
            return (called,)
    names = [name for name in _RECIPE if getattr(config, name) != getattr(_TUTORIAL, name)]
    shown = names
    if len(names) > MOST_PARTS:  # those by which it is told from its neighbours rather than others
        preferred = sorted(names, key=lambda name: name not in varying)[:MOST_PARTS]
        shown = [name for name in names if name in preferred]
    hidden = len(names) - len(shown)
    return (*(said(name, getattr(config, name)) for name in shown), *([f"{hidden} more"] if hidden else []))


def _recipe_of(run: Run) -> tuple[Any, ...]:
    """Return all that a run's losses depend on, but for the seed and their last digits."""
    recipe = (getattr(run.config, name) for name in _RECIPE)
    return run.model, run.source, *recipe, *learning_rates_of(run)


@lru_cache(maxsize=16_384)
def _varying_in(configs: frozenset[TrainingConfig]) -> frozenset[str]:
    return frozenset(name for name in _RECIPE if len({getattr(config, name) for config in configs}) > 1)


def _gathered(keys: Sequence[Any], values: Sequence[Any]) -> dict[Any, set[Any]]:
    gathered: dict[Any, set[Any]] = {}
    for key, value in zip(keys, values, strict=True):
        gathered.setdefault(key, set()).add(value)
    return gathered


def _distinct(runs: Sequence[Run], labels: list[str]) -> list[str]:
    """Add the identifiers of those runs whose labels are the same."""
    while len(set(labels)) < len(labels):  # again, where somebody has called a run what another one became
        counts = Counter(labels)
        labels = [
            f"{label} ({run.id})" if counts[label] > 1 else label for run, label in zip(runs, labels, strict=True)
        ]
    return labels


def _ranges(numbers: Sequence[int]) -> str:
    """Return numbers in their order, three or more that follow each other as a range: 0 to 4, 7."""
    pieces: list[list[int]] = []
    for number in numbers:
        if pieces and number == pieces[-1][-1] + 1:
            pieces[-1].append(number)
        else:
            pieces.append([number])
    return ", ".join(f"{piece[0]} to {piece[-1]}" if len(piece) > 2 else ", ".join(map(str, piece)) for piece in pieces)
