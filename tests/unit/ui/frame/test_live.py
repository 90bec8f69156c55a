import inspect

import pytest
import streamlit as st
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.forward_msg_queue import ForwardMsgQueue
from streamlit.runtime.scriptrunner.script_runner import ScriptRunnerEvent
from streamlit.testing.v1 import AppTest

from cnnlab.ui.frame import live
from cnnlab.ui.frame.live import hear_script_runners_out, refresh_seconds


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


class Runner:
    """Stands for one of Streamlit's script runners."""


class Session:
    """Stands for Streamlit's: it hears the script runner that it has now."""

    def __init__(self):
        self._scriptrunner = Runner()
        self._browser_queue = ForwardMsgQueue()
        self.heard = []

    def request_rerun(self, client_state):
        if client_state.fragment_id != "taken":
            self._scriptrunner = Runner()

    def handle(self, sender, event, *content):
        if sender is self._scriptrunner:
            self.heard.append((event, content))


@pytest.fixture
def session(monkeypatch):
    """Return a session in which the lab lets script runners be heard out."""
    monkeypatch.setattr(AppSession, "request_rerun", Session.request_rerun)
    monkeypatch.setattr(AppSession, "_handle_scriptrunner_event_on_event_loop", Session.handle)
    monkeypatch.setattr(AppSession, "_clear_queue", AppSession._clear_queue)  # put back at the end
    hear_script_runners_out.cache_clear()
    hear_script_runners_out()
    yield Session()
    hear_script_runners_out.cache_clear()


def ask(session, part=""):
    AppSession.request_rerun(session, ClientState(fragment_id=part))


def say(session, runner, event, *content):
    AppSession._handle_scriptrunner_event_on_event_loop(session, runner, event, *content)


def test_a_script_runner_that_has_ended_is_heard_though_another_has_begun_for_a_part(session):
    before = session._scriptrunner
    ask(session, "part")
    say(session, before, ScriptRunnerEvent.ENQUEUE_FORWARD_MSG, "what a press shows")
    assert session.heard == [(ScriptRunnerEvent.ENQUEUE_FORWARD_MSG, ("what a press shows",))]
    assert session._scriptrunner is not before
    say(session, before, ScriptRunnerEvent.SHUTDOWN)  # its end is not the end of the other
    assert len(session.heard) == 1


def test_one_that_a_whole_page_has_stopped_is_not_heard(session):
    before = session._scriptrunner
    ask(session)
    say(session, before, ScriptRunnerEvent.ENQUEUE_FORWARD_MSG)
    assert session.heard == []


def test_one_that_takes_the_request_is_heard_as_ever(session):
    runner = session._scriptrunner
    ask(session, "taken")
    say(session, runner, ScriptRunnerEvent.SHUTDOWN)
    assert session.heard == [(ScriptRunnerEvent.SHUTDOWN, ())]


def a_part_that_was_shown():
    """Return what Streamlit sends of a part that was run to its end."""
    element, finished = ForwardMsg(), ForwardMsg()
    element.metadata.delta_path.extend([1, 0])
    element.delta.fragment_id = "part"
    element.delta.new_element.markdown.body = "shown"
    finished.script_finished = ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY
    return [element, finished]


@pytest.mark.parametrize("following", ["part", "another part"])
def test_what_a_part_has_shown_is_sent_whole_though_a_part_begins_before_that(session, following):
    first, second = a_part_that_was_shown(), a_part_that_was_shown()
    for message in first:
        session._browser_queue.enqueue(message)
    AppSession._clear_queue(session, [following])
    for message in second:
        session._browser_queue.enqueue(message)
    assert session._browser_queue.flush() == [*first, *second]


def test_a_whole_page_breaks_off_what_is_not_sent_yet(session):
    for message in a_part_that_was_shown():
        session._browser_queue.enqueue(message)
    AppSession._clear_queue(session)
    (finished,) = session._browser_queue.flush()
    assert finished.script_finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN


def test_streamlit_still_hears_only_the_script_runner_that_it_has_now():
    source = inspect.getsource(AppSession)
    assert "sender is not self._scriptrunner" in source
    assert "self._handle_scriptrunner_event_on_event_loop(" in source
