"""The bar of a run's film: a slider over its training, the loss beside it, and a button that plays it."""

import time

import streamlit as st

from cnnlab.charts.run import film_chart
from cnnlab.film.moments import moments_of, newest_step
from cnnlab.inference.networks import Moment
from cnnlab.runs.run import Run
from cnnlab.runs.snapshots import why_no_film
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.wording import as_text

FRAME_SECONDS = 0.4
_LEFT_SECONDS = 10.0  # nobody was here for so long: the film does not go on by itself
_BUTTON = 92  # pixels: Play and Pause are as wide, so that nothing moves


def film_bar(run: Run, address: dict[str, str]) -> Moment:
    """Let a person choose a moment of a run's training, or play them all.

    Parameters
    ----------
    address
        The query parameters of what the page shows.

    Returns
    -------
    Moment
        At which the network is to be shown. Somebody who has not turned back sees the newest weights, also when there
        are newer ones.

    Raises
    ------
    LabError
        If the run's weights or its log cannot be read.
    """
    moments = moments_of(run)
    if not moments:
        st.caption(f"No film: {as_text(why_no_film(run))}")
    if len(moments) < 2:
        return "newest"
    key, newest = f"film_{run.id}", newest_step(run)
    if st.session_state.get(Key.FILM_TURNED_BACK) != run.id or st.session_state.get(key) not in moments:
        follow_newest()
        st.session_state[key] = newest
    if st.session_state.get(Key.FILM_PLAYS) == run.id:
        _turn_to_next_frame(key, moments)
    plays = st.session_state.get(Key.FILM_PLAYS) == run.id
    bar, curve = st.columns([3, 2], vertical_alignment="center")
    with bar, st.container(horizontal=True, vertical_alignment="center", key="film_bar"):
        if plays:
            st.button("Pause", icon=":material/pause:", on_click=_pause, width=_BUTTON)
        else:
            st.button("Play", icon=":material/play_arrow:", on_click=_play, args=(run, key, moments), width=_BUTTON)
        step = st.select_slider(
            f"Its network after step … of {run.total_steps:,}",
            moments,
            format_func=lambda step: f"{step:,}",
            key=key,
            on_change=_turn_back,
            args=(run,),
            persist_state="session",
            help="While it trained, its weights were kept at these steps: densely at first, when it learned most; in a "
            "short run, fewer of them. All of this page shows the network as it was then.",
        )
    with curve:
        chart = film_chart(run.history().batches, step, run.total_steps)
        st.vega_lite_chart(chart.points, chart.spec, key="film_curve")
    if plays:
        _tick(address)
    if step == newest and not plays:
        follow_newest()
    return "newest" if step == newest else step


def follow_newest() -> None:
    """Show the newest weights from now on."""
    st.session_state[Key.FILM_TURNED_BACK] = None


def _turn_back(run: Run) -> None:
    st.session_state[Key.FILM_TURNED_BACK] = run.id


def _play(run: Run, key: str, moments: tuple[int, ...]) -> None:
    _turn_back(run)
    if st.session_state[key] == moments[-1]:
        st.session_state[key] = moments[0]
    st.session_state.update({Key.FILM_PLAYS: run.id, Key.FILM_TURNED: time.monotonic()})


def _pause() -> None:
    st.session_state[Key.FILM_PLAYS] = None


def _is_due() -> bool:
    return time.monotonic() - st.session_state[Key.FILM_TURNED] >= 0.9 * FRAME_SECONDS


def _turn_to_next_frame(key: str, moments: tuple[int, ...]) -> None:
    if time.monotonic() - st.session_state[Key.FILM_TURNED] > _LEFT_SECONDS:
        _pause()
    if st.session_state[Key.FILM_PLAYS] is None or not _is_due():
        return
    later = [step for step in moments if step > st.session_state[key]]
    st.session_state.update({key: later[0] if later else moments[-1], Key.FILM_TURNED: time.monotonic()})
    if len(later) <= 1:
        _pause()


@st.fragment(run_every=FRAME_SECONDS)
def _tick(address: dict[str, str]) -> None:
    """Run the whole page again for each frame."""
    if _is_due():
        st.query_params.update(address)  # a timed part has the address of when the browser asked for it
        st.rerun()
