"""Parts of pages that update themselves while something trains."""

import math
import time
from collections.abc import Callable, Mapping
from functools import cache
from threading import Lock
from typing import Any, TypeVar
from uuid import uuid4
from weakref import WeakSet

import streamlit as st
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.scriptrunner.script_runner import ScriptRunner, ScriptRunnerEvent

from cnnlab.errors import LabError
from cnnlab.runs.folder import NoSuchRun
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.wording import as_text

Shown = TypeVar("Shown")

# Up to this many viewers get the full pace; with twice as many, each gets half of it, and so on.
VIEWERS_SERVED_AT_ONCE = 4
# Longer than any time between two updates: a viewer not seen for this long has left.
_SEEN_SECONDS = 30.0

_seen: dict[str, float] = {}
_lock = Lock()


@cache
def hear_script_runners_out() -> None:
    """Let all that a page or a part of it has shown reach the browser, however soon another part asks for itself.

    Where a script runner has ended, Streamlit 1.67 answers the next request for a part with a new one, and from then on
    drops what the old one has said and its event loop has not yet taken. On a busy server, what a press had changed was
    never shown. Here the old one is heard, too.

    And where what one part has shown is not sent yet when the next begins, Streamlit tells the browser that the first
    was broken off: what was no longer in it stayed there until it lost the focus, and whatever stood below then moved
    away from under the pointer. Here only a whole page breaks off what is not sent yet.
    """
    request_rerun, handle = AppSession.request_rerun, AppSession._handle_scriptrunner_event_on_event_loop
    clear_queue = AppSession._clear_queue
    ended: WeakSet[ScriptRunner] = WeakSet()

    def request_and_note(session: AppSession, client_state: ClientState | None) -> None:
        before = session._scriptrunner
        request_rerun(session, client_state)
        # For a part, Streamlit takes a new one only where the old one has ended.
        if before and client_state and client_state.fragment_id and session._scriptrunner is not before:
            ended.add(before)

    def handle_of_ended(
        session: AppSession, sender: ScriptRunner | None, event: ScriptRunnerEvent, *content: Any
    ) -> None:
        current = session._scriptrunner
        if sender is current or sender not in ended or event is ScriptRunnerEvent.SHUTDOWN:
            handle(session, sender, event, *content)
            return
        session._scriptrunner = sender
        try:
            handle(session, sender, event, *content)
        finally:
            session._scriptrunner = current

    def clear_for_a_page(session: AppSession, fragment_ids_this_run: list[str] | None = None) -> None:
        if fragment_ids_this_run:
            session._browser_queue._delta_index_map.clear()  # what is not sent yet is not mixed with what comes now
        else:
            clear_queue(session)

    AppSession._clear_queue = clear_for_a_page  # type: ignore[assignment, method-assign]
    AppSession.request_rerun = request_and_note  # type: ignore[assignment, method-assign]
    AppSession._handle_scriptrunner_event_on_event_loop = handle_of_ended  # type: ignore[assignment, method-assign]


def live(
    body: Callable[[], None],
    *,
    shown: Shown,
    now: Callable[[], Shown],
    seconds: float,
    is_live: bool = True,
    address: Mapping[str, str] | None = None,
) -> None:
    """Show a part of a page that updates itself.

    Parameters
    ----------
    body
        Shows the part, each time in the same places.
    shown, now
        What the rest of the page has been made from, and what it would be made from now. Where the two differ, or a
        run has been deleted, the whole page runs again.
    seconds
        Between two updates where one person looks; a class waits longer.
    is_live
        Whether there is anything to wait for. If not, the part runs again only when somebody uses it.
    address
        The query parameters of what the page shows. A timed part runs with the address that the browser had when it
        asked for it, which may be another run's: without them, a page that has just turned to a new run would turn
        back.
    """
    pace = refresh_seconds(seconds) if is_live else None

    def part() -> None:
        try:
            is_up_to_date = now() == shown and (pace is None or refresh_seconds(seconds) == pace)
            if is_up_to_date:
                body()
        except NoSuchRun:
            is_up_to_date = False
        except LabError as error:  # the disk may fail, or memory run out, while somebody looks
            st.error(as_text(str(error)))
            return
        if not is_up_to_date:
            st.query_params.update(address or {})
            st.rerun()

    st.fragment(part, run_every=pace)()


def refresh_seconds(alone: float) -> float:
    """Return how long to wait between two updates of a timed part, which this session looks at.

    A class that watches a run must not slow its training down: the more people look, the longer each waits.

    Parameters
    ----------
    alone
        The seconds to wait where one person looks.
    """
    viewer = st.session_state.setdefault(Key.VIEWER, uuid4().hex)
    now = time.monotonic()
    with _lock:
        _seen[viewer] = now
        for gone in [each for each, when in _seen.items() if now - when > _SEEN_SECONDS]:
            del _seen[gone]
        viewers = len(_seen)
    # In steps, since a page has to run again to change its pace.
    return alone * 2 ** max(0, math.ceil(math.log2(viewers / VIEWERS_SERVED_AT_ONCE)))
