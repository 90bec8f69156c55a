import asyncio
import inspect
from types import SimpleNamespace

import pytest
import streamlit as st
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.scriptrunner.script_runner import ScriptRunner
from streamlit.runtime.scriptrunner_utils.script_requests import ScriptRequests
from streamlit.testing.v1 import AppTest

from cnnlab.ui.frame import live
from cnnlab.ui.frame.live import let_answers_arrive, refresh_seconds


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


class Session:
    """Stands for Streamlit's: a script runner has ended, and what it has said last is not heard yet."""

    def __init__(self):
        self._event_loop = asyncio.get_running_loop()
        self._scriptrunner = SimpleNamespace(_requests=ScriptRequests())
        self._scriptrunner._requests.request_stop()
        self.begun = []


@pytest.fixture
def request_rerun(monkeypatch):
    """Return what Streamlit calls for each message of a browser, with its own part left out but for a note of it."""
    monkeypatch.setattr(AppSession, "request_rerun", lambda session, state: session.begun.append(state))
    let_answers_arrive.cache_clear()
    let_answers_arrive()
    yield AppSession.request_rerun
    let_answers_arrive.cache_clear()


def test_a_part_is_asked_for_again_when_the_runner_before_it_has_been_heard_to_its_end(request_rerun):
    asked = ClientState(fragment_id="part")

    async def ask():
        session = Session()
        request_rerun(session, asked)
        await asyncio.sleep(0)
        assert session.begun == []
        session._scriptrunner = None  # Streamlit does so when it hears the end
        while not session.begun:
            await asyncio.sleep(0)
        assert session.begun == [asked]

    asyncio.run(ask())


def test_a_whole_page_and_a_part_while_the_runner_runs_are_asked_for_at_once(request_rerun):
    async def ask():
        session = Session()
        request_rerun(session, ClientState())
        session._scriptrunner._requests = ScriptRequests()
        request_rerun(session, ClientState(fragment_id="part"))
        assert len(session.begun) == 2

    asyncio.run(ask())


def test_streamlit_still_has_what_this_goes_by():
    source = inspect.getsource(AppSession)
    assert all(each in source for each in ("self._scriptrunner = None", "self._event_loop", "def request_rerun(self,"))
    assert "self._requests" in inspect.getsource(ScriptRunner)
