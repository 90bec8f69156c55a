from types import SimpleNamespace

import pytest

from cnnlab.lessons.checks import Situation, check_written
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.log import Status
from cnnlab.training.recipe import TrainingConfig


def a_run(model="sequential", status=Status.FINISHED, changes=None, **recipe):
    return SimpleNamespace(
        model=model, status=status, config=TrainingConfig(threads=1, **recipe), learning_rates=changes or {}
    )


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
        ("drawn 2", Situation(strokes=1), Situation(strokes=2)),
        ("stepped 11", Situation(step=10), Situation(step=12)),
        ("opened draw", Situation(pages=frozenset({"train"})), Situation(pages=frozenset({"draw"}))),
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
