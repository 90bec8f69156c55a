from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run
from cnnlab.runs.writer import RunWriter
from cnnlab.sweeps.plan import Plan
from cnnlab.sweeps.sweep import Sweep
from cnnlab.training.recipe import TrainingConfig


def texts(page):
    return [each.value for kind in (page.markdown, page.caption, page.subheader) for each in kind]


def test_home_says_what_the_lab_is_and_leads_through_the_tutorial(app):
    assert not app.exception
    assert any("convolutional network" in text for text in texts(app))
    labels = [link.proto.label for link in app.get("page_link")]
    assert [label for label in labels if label in ("Write it", "Train it", "Compare")][-3:] == [
        "Write it",
        "Train it",
        "Compare",
    ]
    assert "Training now" not in texts(app)


def test_home_lets_the_shipped_network_answer(app):
    cards = " ".join(each.proto.body for each in app.get("html"))
    assert 'data-run="reference-drawing"' in cards
    assert "Nothing drawn yet" in cards


def test_home_lists_what_trains_and_the_newest_results(app):
    config = TrainingConfig(epochs=2)
    training = create_run(DEFINITIONS["module"], config, name="Trains now")
    with RunWriter.claim(training) as writer:
        writer.started(step=0, device="cpu")
        app.run()
        assert any(text.startswith("running · just now") for text in texts(app))
    app.run()
    assert any(text.startswith("interrupted") for text in texts(app))


def test_the_runs_of_a_sweep_do_not_push_ones_own_off_home(app):
    own = create_run(DEFINITIONS["module"], TrainingConfig(epochs=2), name="My own")
    with RunWriter.claim(own) as writer:
        writer.stopped()
    for run in Sweep.start(Plan({"seed": (0, 1, 2, 3, 4)})).runs():
        with RunWriter.claim(run) as writer:
            writer.stopped()
    app.run()
    labels = [link.proto.label for link in app.get("page_link")]
    assert sum("My own" in label for label in labels) == 1
    assert not any("seed 4" in label for label in labels)
    assert [each.label for each in app.expander] == ["Sweep over seed · 5 runs"]


def test_a_sweep_that_trains_is_one_row_of_what_trains_now(app):
    Sweep.start(Plan({"seed": (0, 1, 2)}))
    app.run()
    assert "Training now" in texts(app)
    assert [each.label for each in app.expander] == ["Sweep over seed · 3 runs"]
