"""How often the timed parts of pages are brought up to date."""

import math
import time
from threading import Lock
from uuid import uuid4

import streamlit as st

# So many at most are served as often as one alone; of twice as many, each is served half as often, and so on.
VIEWERS_SERVED_AT_ONCE = 4
# Longer than any time between two updates: who has not been seen for so long looks no more.
_SEEN_SECONDS = 30.0

_seen: dict[str, float] = {}
_lock = Lock()


def refresh_seconds(alone: float) -> float:
    """Return how long to wait between two updates of a timed part, which this session looks at.

    A class that watches a run shall not take the processor from it: the more people look, the longer each waits.

    Parameters
    ----------
    alone
        The seconds to wait where one person looks.
    """
    viewer = st.session_state.setdefault("viewer", uuid4().hex)
    now = time.monotonic()
    with _lock:
        _seen[viewer] = now
        for gone in [each for each, when in _seen.items() if now - when > _SEEN_SECONDS]:
            del _seen[gone]
        viewers = len(_seen)
    # In steps, since a page has to begin anew with a new pace.
    return alone * 2 ** max(0, math.ceil(math.log2(viewers / VIEWERS_SERVED_AT_ONCE)))
