"""The form in which a person chooses a definition and a recipe."""

from typing import Any

import streamlit as st

from cnnlab.models.definitions import DEFINITIONS, Definition
from cnnlab.training import KERNELS, OPTIMIZERS, PRESETS, SCHEDULES, InvalidConfig, TrainingConfig, available_devices

LABELS = {
    "epochs": "Epochs",
    "batch_size": "Batch size",
    "optimizer": "Optimizer",
    "learning_rate": "Learning rate",
    "momentum": "Momentum",
    "weight_decay": "Weight decay",
    "schedule": "Schedule",
    "shift": "Shift (pixels)",
    "seed": "Seed",
    "device": "Device",
    "threads": "Threads",
    "kernels": "Kernels",
    "augment": "Change the images",
}
_HELP = {
    "epochs": "How often the network sees all 60,000 training images.",
    "batch_size": "How many images it sees before each change of its weights.",
    "optimizer": "The rule that turns gradients into changes of the weights.",
    "learning_rate": "How large each change is. Too large, and the loss grows instead of falling.",
    "momentum": "How much of the last change is kept in the next one; in Adam and AdamW, the first beta.",
    "weight_decay": "How strongly each step pulls the weights towards 0; the tutorial does not.",
    "schedule": "What becomes of the learning rate: constant, or rising over the first quarter and falling to 0.",
    "augment": "Changes each training image at random: leaned, stretched, with other strokes. For digits that people "
    "draw; the tutorial does not.",
    "shift": "By how many pixels each training image is moved at random, at most. The tutorial leaves them in place.",
    "seed": "Decides the first weights and the order of the images. The same seed gives the same losses.",
    "device": "Where the network is trained: auto is a GPU where there is one.",
    "threads": "How many CPU cores one run uses. With half of them, two runs train at once.",
    "kernels": "What computes convolution, ReLU and pooling: fused, the lab's own code, which does all three in one; "
    "torch, PyTorch's layers; auto is fused where it can be used. Losses differ in their last digits.",
}
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
    st.toggle(LABELS["augment"], key=_key("augment"), help=_HELP["augment"], persist_state="session")


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
        help=_HELP[field],
        persist_state="session",
    )


def _choice(field: str, options: list[str], titles: dict[str, str] | None = None) -> None:
    st.selectbox(
        LABELS[field],
        options,
        format_func=lambda option: titles[option] if titles else option,
        key=_key(field),
        help=_HELP[field],
        filter_mode=None,
        persist_state="session",
    )
