"""The fields in which a person chooses a network and a recipe.

They are plain fields, not a form: what is typed is kept at once, and is there again when the person comes back.
"""

from collections.abc import Iterable
from typing import Any

import streamlit as st

from cnnlab.models.definitions import DEFINITIONS, Definition
from cnnlab.networks.shelf import LONGEST_NAME, all_networks, keep_network, kept_networks, network_named
from cnnlab.runs.run import Run
from cnnlab.runs.snapshots import DEFAULT_SNAPSHOTS, MOST_SNAPSHOTS
from cnnlab.training.recipe import PRESETS, SETTINGS, InvalidConfig, TrainingConfig, available_devices
from cnnlab.training.setting_kinds import Choice, Number, Switch, Whole
from cnnlab.ui.frame.session import Key
from cnnlab.ui.learners.who import learner
from cnnlab.ui.learners.whose import listed

_OWN = "own"
_PRESET_TITLES = {"tutorial": "Tutorial", "drawing": "For drawing", "speedrun": "Speedrun", _OWN: "My own"}
_PRESET_HELP = (
    "*Tutorial*: as the tutorial trains. *For drawing*: reads best what people draw. *Speedrun*: 99 % on the test set "
    "in the least time. *My own*: what the fields hold, if it is none of these."
)
# What a learner plays with; all else is folded.
_PLAYED_WITH = ("epochs", "batch_size", "learning_rate", "optimizer")
# What a preset says nothing about: how chance falls, and the machine.
_BESIDES = ("seed", "device", "threads", "kernels")


def recipe_and_network() -> None:
    """Show the recipe by its name, and the network."""
    _set_missing_fields()
    networks = all_networks()
    own = {kept.title for kept in listed(kept_networks())}
    if st.session_state.get(_key("definition")) not in networks:  # deleted from the home, by hand
        st.session_state[_key("definition")] = next(iter(networks))
    presets, now = list(_PRESET_TITLES), _preset_now()
    number = st.session_state.get(Key.PRESET_NUMBER, 0)
    if st.session_state.get(_preset_key(number), now) != now:
        # Typing has changed which recipe it is. The list is made anew, not told so: a click that is on its way would
        # bring back the value that the browser knows, as if somebody had chosen it over what was typed.
        number = st.session_state[Key.PRESET_NUMBER] = number + 1
    st.selectbox(
        "Recipe",
        presets,
        index=presets.index(now),
        format_func=_PRESET_TITLES.__getitem__,
        key=_preset_key(number),
        on_change=_take_preset,
        args=(number,),
        filter_mode=None,
        help=_PRESET_HELP,
    )
    st.selectbox(
        "Network",
        [name for name in networks if name in {*DEFINITIONS, *own, st.session_state[_key("definition")]}],
        format_func=lambda name: networks[name].title,
        key=_key("definition"),
        persist_state="session",
        filter_mode=None,
        help="\n".join(f"- *{each.title}*: {each.description}" for each in DEFINITIONS.values())
        + "\n- Those that you write on the page *Write*.",
    )


def recipe_fields() -> None:
    """Show the settings that a learner plays with, the others folded, and how they differ from the recipe."""
    with st.container(key="recipe_first_fields"):
        for name in _PLAYED_WITH:
            _field(name)
    with st.expander("More settings", icon=":material/tune:", key="more_settings"):
        _fields([name for name in SETTINGS if name not in _PLAYED_WITH])
        st.number_input(
            "Snapshots",
            0,
            MOST_SNAPSHOTS,
            DEFAULT_SNAPSHOTS,
            key=Key.SNAPSHOTS,
            persist_state="session",
            help="How often the run keeps its weights while it trains: *Inspect* and *Draw* make a film of them. It "
            "takes at most 2 % of the training; 0 keeps none.",
        )
    st.caption(_difference_line())
    _refusal()


def chosen_snapshots() -> int:
    """Return how many snapshots of its weights a run is to keep."""
    return int(st.session_state.get(Key.SNAPSHOTS, DEFAULT_SNAPSHOTS))


def chosen_recipe() -> tuple[Definition, TrainingConfig]:
    """Return the network and the recipe that the fields hold.

    Raises
    ------
    InvalidConfig
        If the recipe is not allowed.
    """
    return network_named(st.session_state[_key("definition")]), _recipe()


def take_recipe(run: Run) -> None:
    """Fill the fields with a run's network and recipe, to train it again with one change.

    Raises
    ------
    LabError
        If its network is neither here nor one that can be kept.
    """
    registered = all_networks().get(run.model)
    is_here = registered is not None and registered.source == run.source
    name = run.model if is_here else keep_network(run.name[:LONGEST_NAME], run.source, learner()).name
    for field in SETTINGS:
        st.session_state[_key(field)] = getattr(run.config, field)
    if run.snapshots is not None:
        st.session_state[Key.SNAPSHOTS] = run.snapshots
    choose_network(name)


def choose_network(name: str) -> None:
    """Choose a network for the fields of the page Train."""
    _set_missing_fields()
    st.session_state[_key("definition")] = name


def train_both_button(threads: int) -> TrainingConfig | None:
    """Show a button that trains several definitions alike, and beside it the recipe.

    Parameters
    ----------
    threads
        What each run gets.

    Returns
    -------
    TrainingConfig or None
        The recipe when the person has just pressed the button and it is allowed; else None.
    """
    _set_missing_fields()
    start = st.button("Train both", type="primary", icon=":material/play_arrow:")
    with st.popover("Recipe", icon=":material/tune:"):
        _fields([name for name in SETTINGS if name != "threads"])
        with st.container(horizontal=True):
            for preset in PRESETS:
                st.button(_PRESET_TITLES[preset], type="tertiary", on_click=_set_fields, args=(preset,))
        _refusal()
    try:
        return _recipe(threads=threads) if start else None
    except InvalidConfig:  # said beside the field
        return None


def _fields(names: Iterable[str]) -> None:
    """Show a field for each setting; the switches stand below the others."""
    switches = [name for name in names if isinstance(SETTINGS[name], Switch)]
    with st.container(key="recipe_fields"):
        for name in names:
            if name not in switches:
                _field(name)
    for name in switches:
        _field(name)


def _field(name: str) -> None:
    setting = SETTINGS[name]
    common: dict[str, Any] = {"key": _key(name), "help": setting.help, "persist_state": "session"}
    match setting:
        case Whole():
            st.number_input(setting.label, step=1, format="%d", **common)
        case Number():
            st.number_input(setting.label, step=setting.step, format="%g", **common)
        case Choice():
            here = [value for value in setting.choices if name != "device" or value in ("auto", *available_devices())]
            st.selectbox(setting.label, here, format_func=setting.title, filter_mode=None, **common)
        case Switch():
            st.toggle(setting.label, **common)


def _recipe(**given: Any) -> TrainingConfig:
    return TrainingConfig(**(_held() | given))


def _refusal() -> None:
    """Say which field holds what is not allowed."""
    try:
        _recipe()
    except InvalidConfig as error:
        st.error(f"{SETTINGS[error.field].label} is {error.value!r}; allowed is {error.allowed}.")


def _held() -> dict[str, Any]:
    return {name: st.session_state[_key(name)] for name in SETTINGS}


def _preset_now() -> str:
    """Return the name of the preset whose values the fields hold."""
    for preset in PRESETS:
        if not _changed_in(preset, leaving_out=_BESIDES):
            return preset
    return _OWN


def _changed_in(preset: str, leaving_out: tuple[str, ...] = ()) -> list[str]:
    """Return the settings whose fields differ from a preset's."""
    held, config = _held(), TrainingConfig(**PRESETS[preset])
    return [name for name in SETTINGS if name not in leaving_out and held[name] != getattr(config, name)]


def _difference_line() -> str:
    """Return in words what the fields have otherwise than the preset that was chosen last."""
    preset = st.session_state.get(Key.PRESET_CHOSEN, "tutorial")
    of_it = "the tutorial's recipe" if preset == "tutorial" else f"the recipe *{_PRESET_TITLES[preset]}*"
    held = _held()
    parts = [
        SETTINGS[name].described(held[name]) or f"{SETTINGS[name].label.lower()} {SETTINGS[name].written(held[name])}"
        for name in _changed_in(preset)
    ]
    return f"Unlike {of_it}: {' · '.join(parts)}." if parts else f"This is {of_it}."


def _key(field: str) -> str:
    return f"recipe_{field}"


def _preset_key(number: int) -> str:
    return f"preset_{number}"


def _take_preset(number: int) -> None:
    if (preset := st.session_state[_preset_key(number)]) != _OWN:
        _set_fields(preset)


def _set_fields(preset: str) -> None:
    st.session_state[Key.PRESET_CHOSEN] = preset
    config = TrainingConfig(**PRESETS[preset])
    for field in SETTINGS:
        st.session_state[_key(field)] = getattr(config, field)


def _set_missing_fields() -> None:
    if _key("epochs") not in st.session_state:
        _set_fields("tutorial")
