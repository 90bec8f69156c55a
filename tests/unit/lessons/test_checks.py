from types import SimpleNamespace

import pytest

from cnnlab.drawing.my_digits import MyDigit
from cnnlab.drawing.strokes import Stroke
from cnnlab.lessons.checks import Situation, check_written
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.folder import DRAWING_RUN
from cnnlab.runs.log import Status
from cnnlab.runs.shelf import find_run
from cnnlab.training.recipe import TrainingConfig


def a_run(model="sequential", status=Status.FINISHED, changes=None, **recipe):
    return SimpleNamespace(
        model=model, status=status, config=TrainingConfig(threads=1, **recipe), learning_rates=changes or {}
    )


ONE, OTHER = Stroke(20, ((140, 60), (140, 220))), Stroke(20, ((150, 60), (150, 220)))
THIN, SMALL = Stroke(6, ((140, 60), (140, 220))), Stroke(6, ((240, 20), (240, 80)))
LINEAR = "nn.Sequential(nn.Flatten(), nn.Linear(784, 10))"


@pytest.mark.parametrize(
    ("check", "not_yet", "met"),
    [
        ("trained", Situation(runs=(a_run(status=Status.RUNNING),)), Situation(runs=(a_run(),))),
        ("trained epochs=2", Situation(runs=(a_run(epochs=3),)), Situation(runs=(a_run(epochs=3), a_run(epochs=2)))),
        ("trained 2 seed=1", Situation(runs=(a_run(seed=1), a_run())), Situation(runs=(a_run(seed=1), a_run(seed=1)))),
        ("trained augment=on", Situation(runs=(a_run(),)), Situation(runs=(a_run(augment=True),))),
        (
            "compared seed 3",
            Situation(runs=(a_run(), a_run(), a_run(seed=1))),
            Situation(runs=(a_run(), a_run(seed=1), a_run(seed=2))),
        ),
        (
            "both",
            Situation(runs=(a_run(), a_run("module", seed=1))),
            Situation(runs=(a_run(seed=1), a_run("module", seed=1))),
        ),
        ("rate-changed", Situation(runs=(a_run(),)), Situation(runs=(a_run(status=Status.RUNNING, changes={5: 0.1}),))),
        ("own-network", Situation(runs=(a_run("residual"),)), Situation(runs=(a_run("Mine"),))),
        ("drawn 2", Situation(strokes=(ONE,)), Situation(strokes=(ONE, OTHER))),
        ("drawn", Situation(strokes=(ONE,), strokes_before=(ONE,)), Situation(has_new_picture=True)),
        ("drawn thinner=10", Situation(strokes=(ONE,)), Situation(strokes=(THIN,))),
        ("drawn thicker=15", Situation(strokes=(ONE, THIN)), Situation(strokes=(ONE,))),
        ("drawn thinner=10 in-corner", Situation(strokes=(THIN,)), Situation(strokes=(SMALL,))),
        ("drawn in-corner", Situation(strokes=(ONE, SMALL), strokes_before=(ONE,)), Situation(strokes=(SMALL,))),
        ("drawn on-picture", Situation(strokes=(ONE,)), Situation(strokes=(ONE,), is_on_picture=True)),
        ("drawn on-picture", Situation(has_new_picture=True, is_on_picture=True), Situation((), (ONE,), (), True)),
        ("moved 4", Situation(moved=3), Situation(moved=4)),
        ("stepped 11", Situation(step=10), Situation(step=12)),
        ("opened draw", Situation(pages=frozenset({"train"})), Situation(pages=frozenset({"draw"}))),
        ("inspected", Situation(), Situation(inspected=frozenset())),
        ("inspected newest", Situation(inspected=frozenset()), Situation(inspected=frozenset({"newest"}))),
        (
            "inspected people how-sure",
            Situation(inspected=frozenset({"people", "most-wrong"})),
            Situation(inspected=frozenset({"people", "how-sure"})),
        ),
        (
            "written",
            Situation(source=LINEAR, first_source=LINEAR),
            Situation(source=LINEAR, first_source="something else"),
        ),
        ("written", Situation(), Situation(source=LINEAR)),
        ("no-list", Situation(source=LINEAR), Situation(source=DEFINITIONS["residual"].source)),
        ("no-list", Situation(source="class"), Situation(source=DEFINITIONS["residual"].source, first_source=LINEAR)),
        ("written", Situation(source="nn.Sequential(nn.Linear(783, 10))"), Situation(source=LINEAR)),
        ("written", Situation(source="import os"), Situation(source=LINEAR)),
    ],
)
def test_a_check_is_met_when_it_was_done(check, not_yet, met):
    assert not check_written(check).is_met(not_yet)
    assert check_written(check).is_met(met)


def test_a_digit_is_misread_if_a_network_that_answers_says_another_one_than_was_meant():
    check, answering = check_written("misread"), (find_run(DRAWING_RUN),)
    assert not check.is_met(Situation(kept=(MyDigit(1, (ONE,)),), answering=answering))
    assert not check.is_met(Situation(kept=(MyDigit(5, (ONE,)),)))
    assert check.is_met(Situation(kept=(MyDigit(1, (ONE,)), MyDigit(5, (ONE,))), answering=answering))


@pytest.mark.parametrize("written", ["drawn thinner", "drawn thinner=x", "drawn corner", "moved left", "misread 2"])
def test_a_check_that_is_written_wrongly_is_refused(written):
    with pytest.raises(ValueError, match="cannot stand behind the check"):
        check_written(written)
