"""The run that is taken step by step: where the person stands in it, and the buttons that lead on and back."""

import time
from collections import OrderedDict
from contextlib import suppress

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cnnlab.data import mnist as data
from cnnlab.data.mnist import MNIST, load_test_set
from cnnlab.drawing.pen import load_pen_data
from cnnlab.errors import LabError
from cnnlab.models.definitions import Definition
from cnnlab.stepping.stepper import Step, Stepper
from cnnlab.training.recipe import TrainingConfig
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.torch_thread import ask
from cnnlab.wording import duration

PLAY_SECONDS = 1.0  # from step to step
ON_THE_WAY_SECONDS = 0.1  # between two parts of a long way
_LONG, _SHORT = 165, 88  # of two buttons in one place, in pixels: nothing moves when one takes the other's
# Of all recipes that people step through. What is let go is taken again from the start, to the same bits.
_MOST_BYTES = 160_000_000
_SECONDS_AT_ONCE = 0.3  # other pages ask in the same thread

_steppers: OrderedDict[tuple[str, TrainingConfig], Stepper] = OrderedDict()


class Position:
    """Where a person stands in the run of a network and a recipe; another network or recipe begins anew."""

    def __init__(self, definition: Definition, config: TrainingConfig) -> None:
        self.definition, self.config = definition, config
        run = (definition.source, config)
        if st.session_state.get(Key.STEPPED_RUN) != run:
            st.session_state.update({Key.STEPPED_RUN: run, Key.STEP: 1, Key.STEP_GOAL: None, Key.STEP_PLAYS: False})

    @property
    def number(self) -> int:
        """The step that is shown, from 1."""
        return int(st.session_state[Key.STEP])

    @property
    def plays(self) -> bool:
        """Whether one step after the other is shown."""
        return bool(st.session_state[Key.STEP_PLAYS])

    @property
    def is_on_the_way(self) -> bool:
        """Whether somebody has set out for a later step."""
        return st.session_state[Key.STEP_GOAL] is not None

    def taking(self) -> str:
        """Say what is waited for while `step` is on its way."""
        if self.number > 1 and (self.definition.source, self.config) not in _steppers:
            return "Taking the steps up to this one again, to the same numbers: they were let go, to make room"
        return "Taking the step"

    def step(self) -> tuple[Step, list[float]]:
        """Return the step that is shown, with all its numbers, and the losses up to it.

        Raises
        ------
        LabError
            If it diverges, or what it needs cannot be had.
        """
        try:
            while not ask(_has_reached, self.definition, self.config, self.number):
                pass
            return ask(_step, self.definition, self.config, self.number)
        except LabError:
            _stop()
            raise

    def buttons(self) -> None:
        """Show the buttons that lead on and back."""
        number, last = self.number, self.config.total_steps
        end = min(last, (number // self.config.steps_per_epoch + 1) * self.config.steps_per_epoch)
        cannot_go_on = number >= last or self.is_on_the_way
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key="step_buttons"):
            st.button(
                "Back",
                icon=":material/skip_previous:",
                disabled=number == 1 or self.is_on_the_way,
                on_click=_stand_at,
                args=(number - 1,),
            )
            st.button(
                "Next step",
                icon=":material/skip_next:",
                type="primary",
                disabled=cannot_go_on,
                on_click=_stand_at,
                args=(number + 1,),
            )
            st.button("10 steps", disabled=cannot_go_on, on_click=_stand_at, args=(min(last, number + 10),))
            if self.is_on_the_way:
                st.button("Stop here", icon=":material/stop:", on_click=_stop, width=_LONG)
            else:
                st.button("To the end of the epoch", disabled=cannot_go_on, on_click=_set_out, args=(end,), width=_LONG)
            if self.plays:
                st.button("Pause", icon=":material/pause:", on_click=_stop, width=_SHORT)
            else:
                st.button("Play", icon=":material/play_arrow:", disabled=cannot_go_on, on_click=_play, width=_SHORT)
            st.button("First", type="tertiary", disabled=number == 1, on_click=_stand_at, args=(1,))

    def go_on(self, told: DeltaGenerator) -> None:
        """Take some of the steps that lead to where somebody has set out for, or the next one while one plays.

        Parameters
        ----------
        told
            Where it is shown how far that is.
        """
        if (goal := st.session_state[Key.STEP_GOAL]) is not None:
            self._go_on_to(goal, told)
        elif self.plays and time.monotonic() - st.session_state[Key.STEP_PLAYED] >= 0.9 * PLAY_SECONDS:
            st.session_state.update({Key.STEP: self.number + 1, Key.STEP_PLAYED: time.monotonic()})
        if self.number >= self.config.total_steps:
            _stop()

    def _go_on_to(self, goal: int, told: DeltaGenerator) -> None:
        begun = time.monotonic()
        before, number = self.number, ask(_on_towards, self.definition, self.config, self.number, goal)
        st.session_state[Key.STEP] = number
        if number >= goal:
            _stop()
            return
        left = (time.monotonic() - begun + ON_THE_WAY_SECONDS) * (goal - number) / max(1, number - before)
        start = st.session_state[Key.STEP_START]
        share = (number - start) / (goal - start)
        told.progress(share, text=f"Step {number:,} on the way to {goal:,} · {duration(left)} left")


def pace() -> float | None:
    """Return the seconds between two runs of the page's live part: while one plays, or is on the way; else None."""
    if st.session_state.get(Key.STEP_GOAL) is not None:
        return ON_THE_WAY_SECONDS
    return PLAY_SECONDS if st.session_state.get(Key.STEP_PLAYS) else None


def _stop() -> None:
    st.session_state.update({Key.STEP_GOAL: None, Key.STEP_PLAYS: False})


def _stand_at(number: int) -> None:
    st.session_state.update({Key.STEP: number, Key.STEP_GOAL: None})


def _set_out(goal: int) -> None:
    _stop()
    st.session_state.update({Key.STEP_GOAL: goal, Key.STEP_START: st.session_state[Key.STEP]})


def _play() -> None:
    st.session_state.update({Key.STEP_PLAYS: True, Key.STEP_PLAYED: time.monotonic()})


# What follows computes with PyTorch, and is called by `ask`.


def _stepper(definition: Definition, config: TrainingConfig) -> Stepper:
    key = (definition.source, config)
    if key not in _steppers:
        pen = load_pen_data(with_training=True) if config.has_pen_digits else None
        _steppers[key] = Stepper(definition.build(config.seed), _images(), config, pen)
    _steppers.move_to_end(key)
    while len(_steppers) > 1 and sum(each.nbytes for each in _steppers.values()) > _MOST_BYTES:
        _steppers.popitem(last=False)
    return _steppers[key]


def _images() -> MNIST:
    """Return MNIST, the training images as bytes in a file that all processes share."""
    loaded = data.load(train_images_as_bytes=True)
    return MNIST(loaded.train_images, loaded.train_labels, *load_test_set())


def _step(definition: Definition, config: TrainingConfig, number: int) -> tuple[Step, list[float]]:
    stepper = _stepper(definition, config)
    return stepper.step(number), stepper.losses[:number]


def _on_towards(definition: Definition, config: TrainingConfig, number: int, goal: int) -> int:
    """Return the step that is reached after a while, or the one that cannot be taken: who shows it is told why."""
    stepper, deadline = _stepper(definition, config), time.monotonic() + _SECONDS_AT_ONCE
    with suppress(LabError):
        while number < goal and time.monotonic() < deadline:
            if len(stepper.losses) < number:  # it was let go, and catches up
                stepper.reach(len(stepper.losses) + 1)
            else:
                number += 1
                stepper.reach(number)
    return number


def _has_reached(definition: Definition, config: TrainingConfig, number: int) -> bool:
    """Return whether the steps up to one are known, going on towards it for a while: other pages ask in between."""
    stepper, deadline = _stepper(definition, config), time.monotonic() + _SECONDS_AT_ONCE
    while len(stepper.losses) < number and time.monotonic() < deadline:
        stepper.reach(len(stepper.losses) + 1)
    return len(stepper.losses) >= number
