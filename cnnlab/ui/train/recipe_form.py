"""The form in which a person chooses a definition and a recipe."""

from typing import Any

import streamlit as st

from cnnlab.models.definitions import DEFINITIONS, Definition
from cnnlab.training.optimizers import OPTIMIZERS
from cnnlab.training.recipe import KERNELS, PRESETS, SCHEDULES, InvalidConfig, TrainingConfig, available_devices
from cnnlab.training.settings import HELP, LABELS

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
_OPTIMIZER_NAMES = {name: optimizer.__name__ for name, optimizer in OPTIMIZERS.items()} | {"nesterov": "SGD, Nesterov"}


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
        with st.container(key="recipe_fields"):
            _fields()
            _number("threads", step=1)
        _augment_switch()
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
        with st.container(key="recipe_fields"):
            _fields()
        _augment_switch()
        with st.container(horizontal=True):
            for preset, button in _PRESET_BUTTONS.items():
                st.button(type="tertiary", on_click=_set_fields, args=(preset,), **button)
    return _recipe(threads=threads) if start else None


def _fields() -> None:
    _number("epochs", step=1)
    _number("batch_size", step=1)
    _choice("optimizer", list(OPTIMIZERS), _OPTIMIZER_NAMES)
    _number("learning_rate", step=0.0005)
    _number("momentum", step=0.05)
    _number("weight_decay", step=0.0005)
    _choice("schedule", list(SCHEDULES))
    _number("shift", step=1)
    _number("seed", step=1)
    _choice("device", ["auto", *available_devices()])
    _choice("kernels", list(KERNELS))


def _augment_switch() -> None:
    st.toggle(LABELS["augment"], key=_key("augment"), help=HELP["augment"], persist_state="session")


def _recipe(**given: Any) -> TrainingConfig | None:
    """Return the recipe that the fields hold; where it is not allowed, say what is wrong."""
    try:
        return TrainingConfig(
            **{field: st.session_state[_key(field)] for field in LABELS if field not in given} | given
        )
    except InvalidConfig as error:
        st.error(f"{LABELS[error.field]} is {error.value!r}; allowed is {error.allowed}.")
        return None


def _key(field: str) -> str:
    return f"recipe_{field}"


def _set_fields(preset: str) -> None:
    config = TrainingConfig(**PRESETS[preset])
    for field in LABELS:
        st.session_state[_key(field)] = getattr(config, field)


def _set_missing_fields() -> None:
    if _key("epochs") not in st.session_state:
        _set_fields("tutorial")


def _number(field: str, step: float) -> None:
    st.number_input(
        LABELS[field],
        step=step,
        format="%d" if isinstance(step, int) else "%g",
        key=_key(field),
        help=HELP[field],
        persist_state="session",
    )


def _choice(field: str, options: list[str], titles: dict[str, str] | None = None) -> None:
    st.selectbox(
        LABELS[field],
        options,
        format_func=lambda option: titles[option] if titles else option,
        key=_key(field),
        help=HELP[field],
        filter_mode=None,
        persist_state="session",
    )
