import pytest
import streamlit as st

from cnnlab.ui.frame import live
from cnnlab.ui.frame.live import refresh_seconds


@pytest.fixture
def at_minute(monkeypatch):
    """Return a function that lets sessions look at a minute; each gives the pace of the last."""
    monkeypatch.setattr(live, "_seen", {})

    def look(minute, sessions):
        monkeypatch.setattr(live.time, "monotonic", lambda: 60.0 * minute)
        for session in sessions:
            monkeypatch.setattr(st, "session_state", {"viewer": str(session)})
            pace = refresh_seconds(0.5)
        return pace

    return look


@pytest.mark.parametrize(("viewers", "seconds"), [(1, 0.5), (4, 0.5), (5, 1), (8, 1), (9, 2), (16, 2), (30, 4)])
def test_the_more_look_the_longer_each_waits(viewers, seconds, at_minute):
    assert at_minute(0, range(viewers)) == seconds


def test_who_looks_twice_is_one(at_minute):
    assert at_minute(0, [0] * 10) == 0.5


def test_who_has_gone_is_not_counted(at_minute):
    at_minute(0, range(30))
    assert at_minute(1, [0]) == 0.5
