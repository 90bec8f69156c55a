from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run
from cnnlab.runs.writer import RunWriter
from cnnlab.training.recipe import TrainingConfig


def texts(page):
    return [each.value for kind in (page.markdown, page.caption, page.subheader) for each in kind]


def test_home_says_what_the_lab_is_and_that_nothing_trains(app):
    assert not app.exception
    assert "convolutional network" in texts(app)[0]
    assert "Nothing trains at the moment." in texts(app)


def test_home_lists_what_trains_and_the_newest_results(app):
    config = TrainingConfig(epochs=2)
    training = create_run(DEFINITIONS["module"], config, name="Trains now")
    with RunWriter.claim(training) as writer:
        writer.started(step=0, device="cpu")
        app.run()
        assert any(text.startswith("running · just now") for text in texts(app))
    app.run()
    assert any(text.startswith("interrupted") for text in texts(app))
