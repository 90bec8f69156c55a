"""Moving a drawing off the centre, to see what its place means to the networks."""

import streamlit as st

from cnnlab.ui.answers.bars import move_in_words
from cnnlab.ui.frame.session import Key

_FARTHEST = 10
_WAYS = {"Left": (-1, 0), "Right": (1, 0), "Up": (0, -1), "Down": (0, 1)}


def move_now() -> tuple[int, int]:
    """Return how far the drawing is moved, in pixels of the 28 by 28, to the right and down."""
    right, down = st.session_state.get(Key.MOVE, (0, 0))
    return right, down


def move_tools() -> None:
    """Show the buttons that move the drawing by a pixel each."""
    with st.container(horizontal=True, gap="xxsmall", vertical_alignment="center", key="move"):
        st.caption("Move it by a pixel:", width="content")
        for name, way in _WAYS.items():
            st.button(
                name,
                type="tertiary",
                on_click=_move_by,
                args=way,
            )
        st.button("Centre", type="tertiary", on_click=st.session_state.pop, args=(Key.MOVE, None))
        st.caption(move_in_words(*move_now()), width="content")


def _move_by(right: int, down: int) -> None:
    there = zip(move_now(), (right, down), strict=True)
    st.session_state[Key.MOVE] = tuple(max(-_FARTHEST, min(_FARTHEST, at + by)) for at, by in there)
