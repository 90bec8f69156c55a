"""The form in which a person chooses a definition and a recipe."""

from collections.abc import Iterable
from typing import Any

import streamlit as st

from cnnlab.models.definitions import DEFINITIONS, Definition
from cnnlab.training.recipe import PRESETS, SETTINGS, InvalidConfig, TrainingConfig, available_devices
from cnnlab.training.setting_kinds import Choice, Number, Switch, Whole

_PRESET_BUTTONS: dict[str, Any] = {
    "tutorial": {
        "label": "Tutorial recipe",
        "icon": ":material/restart_alt:",
        "help": "Put the tutorial's values into every field.",
    },
    "drawing": {
        "label": "For drawing",
        "icon": ":material/draw:",
        "help": "Put the values into every field with which a network reads best what people draw.",
    },
    "speedrun": {
        "label": "Speedrun",
        "icon": ":material/speed:",
        "help": "Put the values into every field with which the tutorial's network is soonest at 99 % on the test set.",
    },
}


def recipe_form() -> tuple[Definition, TrainingConfig] | None:
    """Show the form.

    Returns
    -------
    tuple or None
        The definition and the recipe when the person has just pressed Start and they are allowed; else None.
    """
    _set_missing_fields()
    with st.form("recipe", enter_to_submit=False):
        name = st.radio(
            "Definition",
            list(DEFINITIONS),
            format_func=lambda name: DEFINITIONS[name].title,
            captions=[definition.description for definition in DEFINITIONS.values()],
            horizontal=True,
            key="recipe_definition",
            persist_state="session",
        )
        _fields(SETTINGS)
        with st.container(horizontal=True):
            start = st.form_submit_button("Start training", type="primary", icon=":material/play_arrow:")
            for preset, button in _PRESET_BUTTONS.items():
                st.form_submit_button(type="tertiary", on_click=_set_fields, args=(preset,), **button)
        config = _recipe() if start else None
        return (DEFINITIONS[name], config) if config else None


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
            for preset, button in _PRESET_BUTTONS.items():
                st.button(type="tertiary", on_click=_set_fields, args=(preset,), **button)
    return _recipe(threads=threads) if start else None


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


def _recipe(**given: Any) -> TrainingConfig | None:
    """Return the recipe that the fields hold; where it is not allowed, say what is wrong."""
    try:
        return TrainingConfig(
            **{field: st.session_state[_key(field)] for field in SETTINGS if field not in given} | given
        )
    except InvalidConfig as error:
        st.error(f"{SETTINGS[error.field].label} is {error.value!r}; allowed is {error.allowed}.")
        return None


def _key(field: str) -> str:
    return f"recipe_{field}"


def _set_fields(preset: str) -> None:
    config = TrainingConfig(**PRESETS[preset])
    for field in SETTINGS:
        st.session_state[_key(field)] = getattr(config, field)


def _set_missing_fields() -> None:
    if _key("epochs") not in st.session_state:
        _set_fields("tutorial")
