import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

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


def page_with_a_live_part():
    import streamlit as st

    from cnnlab.runs.folder import NoSuchRun
    from cnnlab.ui.frame.live import live

    runs_of_page = st.session_state["runs_of_page"] = st.session_state.get("runs_of_page", 0) + 1
    what_happens = st.query_params["what_happens"] if runs_of_page == 1 else "nothing"

    def now():
        if what_happens == "the run is deleted":
            raise NoSuchRun("It is gone.")
        return "finished" if what_happens == "the run finishes" else "running"

    live(lambda: st.write("The part"), shown="running", now=now, seconds=1.0, address={"run": "this one"})


@pytest.mark.parametrize(
    ("what_happens", "runs_of_page"), [("nothing", 1), ("the run finishes", 2), ("the run is deleted", 2)]
)
def test_the_whole_page_runs_again_for_its_run_when_its_part_is_newer(what_happens, runs_of_page):
    page = AppTest.from_function(page_with_a_live_part)
    page.query_params["what_happens"] = what_happens
    page.run()
    assert not page.exception
    assert page.session_state["runs_of_page"] == runs_of_page
    assert page.query_params.get("run") == ("this one" if runs_of_page == 2 else None)
    assert [each.value for each in page.markdown] == ["The part"]
