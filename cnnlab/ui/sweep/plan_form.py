"""The plan of a sweep as a form."""

import re
import tomllib
from collections.abc import Iterable
from contextlib import suppress
from statistics import median
from typing import Any

import streamlit as st

from cnnlab.charts.sweep import title_of
from cnnlab.errors import LabError
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.networks.shelf import kept_networks
from cnnlab.runs.log import Status
from cnnlab.runs.shelf import all_runs
from cnnlab.storage.cores import available_cores
from cnnlab.sweeps.plan import MOST_RUNS, Between, Plan, Search, different_recipes, is_whole
from cnnlab.training.recipe import MAX_EPOCHS, MAX_THREADS, SETTINGS
from cnnlab.training.setting_kinds import Choice, Number, Switch
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.wording import as_text
from cnnlab.ui.learners.whose import listed
from cnnlab.wording import duration, plural
from cnnlab.workers.scheduler import scheduler

# As many are started without asking twice.
MANY_RUNS = 100
_VALUES_SHOWN = 8
_KINDS = {"grid": "Combinations", "draws": "Random draws", "search": "Find the best"}
_TRIED = {"model": tuple(DEFINITIONS)} | {name: setting.tried for name, setting in SETTINGS.items() if setting.tried}


def plan_form() -> Plan | None:
    """Show the settings to try, and return the plan; where it is none, say why, and return None."""
    st.session_state.setdefault(Key.SWEEP_KIND, "grid")
    st.session_state.setdefault(Key.SWEEP_FIELDS, ["learning_rate", "seed"])
    kind = st.segmented_control(
        "Runs",
        list(_KINDS),
        required=True,
        format_func=_KINDS.__getitem__,
        key=Key.SWEEP_KIND,
        persist_state="session",
        help="Between two numbers, such as 0.0001 to 0.1, can be drawn and looked for. *Find the best* keeps "
        "10,000 training images out of training and goes by the accuracy on them: Optuna proposes each run from "
        "the results so far, and stops those that fall behind.",
    )
    chosen = st.multiselect(
        "Settings to try",
        list(_TRIED),
        format_func=title_of,
        key=Key.SWEEP_FIELDS,
        persist_state="session",
    )
    tried = [name for name in chosen if kind != "search" or name != "seed"]
    if len(tried) < len(chosen):
        st.caption("The seed is left out: the best seed would only be the luckiest. All runs have seed 0.")
    settings: dict[str, Any] = {}
    for name in tried:
        if name == "model" or isinstance(SETTINGS[name], Choice | Switch):
            options = _networks() if name == "model" else _TRIED[name]
            key = f"sweep_{name}"
            held = st.session_state.get(key, _TRIED[name])
            st.session_state[key] = [value for value in held if value in options]  # a network may have been deleted
            settings[name] = tuple(st.multiselect(title_of(name), options, key=key, persist_state="session"))
        else:
            st.session_state.setdefault(f"sweep_{name}", ", ".join(f"{number:g}" for number in _TRIED[name]))
            written = st.text_input(title_of(name), key=f"sweep_{name}", persist_state="session", max_chars=5_000)
            settings[name] = _values_in(name, written)
    columns = iter(st.columns(3))
    if "epochs" not in tried:
        settings["epochs"] = _number("Epochs of each", MAX_EPOCHS, 3, Key.SWEEP_EPOCHS, next(columns))
    settings["threads"] = _number("Threads of each", MAX_THREADS, 1, "sweep_threads", next(columns))
    if kind != "grid":
        count = _number("Runs, at most", MOST_RUNS, 20, "sweep_count", next(columns))
    try:
        draws = int(min(count, max(1, different_recipes(settings)))) if kind == "draws" else None
        search = Search(count, at_once=at_once(settings["threads"])) if kind == "search" else None
        plan = Plan(settings, draws, search=search)
        plan.recipes()
    except LabError as error:
        st.error(as_text(str(error)))
        return None
    return plan


def fill_form(settings: Iterable[tuple[str, str]]) -> None:
    """Fill the form with settings to try, each with its values as a person writes them; one of epochs is for all."""
    tried = {name: values for name, values in settings if name != "epochs"}
    st.session_state[Key.SWEEP_KIND] = "grid"
    st.session_state[Key.SWEEP_FIELDS] = list(tried)
    for name, values in tried.items():
        st.session_state[f"sweep_{name}"] = values
    st.session_state[Key.SWEEP_EPOCHS] = int(dict(settings).get("epochs", 3))


def try_networks(names: list[str]) -> None:
    """Fill the form with networks to try, each with several seeds."""
    st.session_state[Key.SWEEP_KIND] = "grid"
    st.session_state[Key.SWEEP_FIELDS] = ["model", "seed"]
    st.session_state[Key.SWEEP_NETWORKS] = names


def _networks() -> tuple[str, ...]:
    return *DEFINITIONS, *(kept.title for kept in listed(kept_networks()))


def _number(label: str, most: int, default: int, key: str, place: Any) -> int:
    st.session_state.setdefault(key, default)
    return int(place.number_input(label, 1, most, key=key, persist_state="session"))


def at_once(threads: int) -> int:
    """Return how many runs of a search train at a time."""
    return scheduler().parallel_runs or max(1, available_cores() // threads)


def _values_in(name: str, written: str) -> tuple[Any, ...] | Between:
    """Return the numbers that somebody wrote, with commas or "to" between them; others are for the plan to refuse."""
    if between := re.fullmatch(r"\s*(\S+)\s+to\s+(\S+)\s*", written):
        with suppress(ValueError):
            low, high = (int(each) if is_whole(name) else float(each) for each in between.groups())
            return Between(low, high, is_logarithmic=_is_logarithmic(name) and low > 0)
    try:
        return tuple(tomllib.loads(f"numbers = [{written}]")["numbers"])
    except (ValueError, RecursionError):  # ValueError: a number of thousands of digits is one
        return tuple(part.strip() for part in written.split(","))


def _is_logarithmic(name: str) -> bool:
    setting = SETTINGS[name]
    return isinstance(setting, Number) and setting.is_logarithmic


def cost_line(plan: Plan) -> str:
    """Return what a plan runs, and about how long that takes, by the speed of the newest finished runs."""
    speeds = [
        epoch.images_per_second
        for run in all_runs()[:20]
        if run.status is Status.FINISHED and (epoch := run.last_epoch())
    ]
    tried = [f"{title_of(name).lower()} {_tried_in_words(plan.settings[name])}" for name in plan.tried]
    line = f"{plural(plan.count, 'run')}{f' over {_joined(tried)}' if tried else ''}"
    if not speeds:
        return f"{line}."
    images = [config.epochs * config.images_per_epoch for _, config in plan.recipes()]
    if plan.search:
        most = duration(plan.count * max(images) / median(speeds))
        return f"{line}: at most {most} of training one after the other, as fast as the newest runs were."
    seconds = sum(images) / median(speeds)
    return f"{line}: about {duration(seconds)} of training one after the other, as fast as the newest runs were."


def _tried_in_words(values: tuple[Any, ...] | Between) -> str:
    if isinstance(values, Between):
        return f"{values.low:g} to {values.high:g}"
    written = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
    shown = written[:_VALUES_SHOWN]
    return ", ".join([*shown, f"{len(written) - len(shown)} more"] if len(written) > len(shown) else shown)


def _joined(parts: list[str]) -> str:
    """Return parts in one line: a, b and c."""
    return " and ".join(filter(None, ["; ".join(parts[:-1]), parts[-1]]))
