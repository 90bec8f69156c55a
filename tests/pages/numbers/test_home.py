from truth import REFERENCE, events

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run
from cnnlab.runs.writer import RunWriter
from cnnlab.training.events import EpochEvent
from cnnlab.training.recipe import TrainingConfig


def captions(page):
    return [each.value for each in page.caption]


def test_a_reference_run_is_listed_with_its_last_accuracy(app):
    for folder in sorted(REFERENCE.iterdir()):
        *_, last = events(folder, "epoch")
        told = f"{round(last['test_accuracy'] * 10_000) / 100:.2f} % after epoch {last['epoch']} of {last['epoch']}"
        assert f"ships with the lab · {told}" in captions(app)


def test_a_run_is_listed_with_its_state_its_age_and_its_newest_epoch(app):
    run = create_run(DEFINITIONS["module"], TrainingConfig(epochs=3))
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        writer.append_training(EpochEvent(1, 469, 0.5, 0.2, 0.9312, 3.0, 20_000.0))
        writer.append_training(EpochEvent(2, 938, 0.3, 0.1, 0.9678, 3.0, 20_000.0))
        writer.stopped()
    assert "stopped · just now · 96.78 % after epoch 2 of 3" in captions(app.run())
