import json

import pytest

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run
from cnnlab.training.recipe import TrainingConfig
from cnnlab.workers import scheduler as scheduling
from cnnlab.workers.scheduler import Scheduler
from cnnlab.workers.settings import parallel_runs, settings_path


@pytest.mark.parametrize(
    ("count", "read"),
    [(0, None), (1, 1), (16, 16), (17, None), (2.0, None)],
)
def test_a_number_of_runs_is_read_where_it_is_allowed(count, read):
    settings_path().write_text(json.dumps({"parallel_runs": count}))
    assert parallel_runs() == read


@pytest.mark.parametrize("settings", ["", "{", "[]", '{"parallel_runs": "many"}', "{}"])
def test_unreadable_settings_leave_it_to_the_cores(settings):
    settings_path().write_text(settings)
    assert parallel_runs() is None


def test_without_settings_it_is_left_to_the_cores(lab_home):
    assert not settings_path().exists()
    assert parallel_runs() is None


def run_with(threads):
    return create_run(DEFINITIONS["sequential"], TrainingConfig(epochs=1, threads=threads))


@pytest.mark.parametrize(
    ("limit", "training", "threads", "has_room"),
    [
        (None, [], 8, True),  # alone it trains, however many threads it wants
        (None, [2], 2, True),
        (None, [2], 3, False),
        (None, [1, 2], 1, True),
        (None, [1, 2], 2, False),
        (1, [], 8, True),
        (1, [1], 1, False),
        (2, [4], 4, True),
        (2, [4, 4], 1, False),
    ],
)
def test_there_is_room_for_as_many_runs_as_are_allowed_or_have_cores(limit, training, threads, has_room, monkeypatch):
    monkeypatch.setattr(scheduling, "available_cores", lambda: 4)
    monkeypatch.setattr(scheduling, "parallel_runs", lambda: limit)
    idle = object.__new__(Scheduler)
    assert idle._has_room(run_with(threads), [run_with(each) for each in training]) is has_room
