"""Mine or everyone's: which runs, sweeps and networks are listed."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

import streamlit as st

from cnnlab.storage.learners import is_same_learner
from cnnlab.ui.frame.session import Key
from cnnlab.ui.learners.who import learner

_MINE, _ALL = "Mine", "Everyone's"


class Made(Protocol):
    """Something that a person has made."""

    @property
    def made_by(self) -> str | None:
        """His name, or None where he did not say it."""


Thing = TypeVar("Thing", bound=Made)


def whose_switch() -> None:
    """Show the switch between one's own and everyone's, to those who have said who they are."""
    if learner():
        st.segmented_control(
            "Whose",
            [_MINE, _ALL],
            default=_MINE,
            required=True,
            key=Key.WHOSE,
            persist_state="session",
            label_visibility="collapsed",
            width="content",
        )


def listed(things: Iterable[Thing]) -> list[Thing]:
    """Return those that are listed: all of them to who has not said his name, or wants to see everyone's."""
    name = learner()
    if name is None or st.session_state.get(Key.WHOSE, _MINE) == _ALL:
        return list(things)
    return [thing for thing in things if is_same_learner(thing.made_by, name)]
