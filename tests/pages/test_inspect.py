import re

import pytest

from cnnlab.inference import test_set
from cnnlab.inference.test_set import images_of
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.models.sources import read_definition
from cnnlab.runs.shelf import create_run, delete_run
from cnnlab.runs.writer import RunWriter, checkpoint_of
from cnnlab.training.evaluation import predict_logits
from cnnlab.training.events import EpochEvent
from cnnlab.training.recipe import TrainingConfig
from cnnlab.training.state import TrainingState
from cnnlab.wording import percent

WORST = 1549  # of the test images, for the reference run of nn.Sequential: a 4 that it is sure is a 6


@pytest.fixture
def inspect_page(app):
    """Return the lab, opened on the Inspect page."""
    return app.switch_page("pages/inspect.py").run()


def turn_to(page, part):
    page.session_state["inspected_part"] = part
    page.run()
    assert not page.exception


def run_of(model, *events, has_weights=True):
    run = create_run(DEFINITIONS[model], TrainingConfig(epochs=4, threads=1))
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        if has_weights:
            writer.append_training(EpochEvent(1, 469, 0.2, 0.2, 0.95, 3.0, 20_000.0))
            writer.save_weights(DEFINITIONS[model].build(0).state_dict())
        for event in events:
            writer.append(event)
    return run


def open_run(app, run_id):
    page = app.switch_page("pages/inspect.py")
    page.query_params["run"] = run_id
    return page.run()


def chosen(page):
    return page.selectbox(key="inspected").value


def button(page, label):
    return next(each for each in page.button if each.label == label)


def texts(page):
    shown = [each.value for kind in (page.markdown, page.caption) for each in kind]
    return [*shown, *(each.proto.body for each in page.get("html"))]


def shows(page, text):
    return any(re.search(text, each) for each in texts(page))


def metric(page, label):
    return next(each.value for each in page.metric if each.label == label)


@pytest.mark.slow
def test_at_first_the_newest_finished_run_is_shown(app):
    finished = run_of("module", "finished")
    run_of("module", "stopped")
    page = app.switch_page("pages/inspect.py").run()
    assert not page.exception
    assert chosen(page) == finished.id
    assert page.query_params["run"] in (finished.id, [finished.id])


def test_a_reference_run_is_shown_from_the_inside(inspect_page):
    assert not inspect_page.exception
    assert chosen(inspect_page) == "reference-sequential"
    assert metric(inspect_page, "Accuracy") == "98.44 %"
    assert metric(inspect_page, "Errors") == "156 of 10,000"
    assert metric(inspect_page, "95 % interval") == "98.18 % to 98.66 %"
    assert shows(inspect_page, "Test image 1,549: a 4")
    assert shows(inspect_page, "spoke for 6 rather than 4")
    assert shows(inspect_page, "16 maps of 11 × 11")
    turn_to(inspect_page, "Confusion matrix")
    assert shows(inspect_page, "5 answered as 3")  # its most frequent error
    turn_to(inspect_page, "Its filters")
    assert shows(inspect_page, "8 filters of 1 × 3 × 3")


def test_what_people_drew_is_a_test_set_of_its_own(inspect_page):
    inspect_page.number_input(key="looked_into").set_value(9_999)
    inspect_page.segmented_control(key="inspected_set").set_value("pen").run()
    assert not inspect_page.exception
    assert metric(inspect_page, "Errors") == "136 of 2,575"
    assert inspect_page.number_input(key="looked_into").value < 2_575  # there is no image of the number before
    turn_to(inspect_page, "What it gets most wrong")
    assert shows(inspect_page, "Wrong answers of which it is most sure")
    button(inspect_page, "More of 136").click().run()
    assert not inspect_page.exception


def test_how_sure_it_is_is_held_against_how_often_it_is_right(inspect_page):
    turn_to(inspect_page, "How sure, how right")
    assert shows(inspect_page, r"It is too sure of itself: its temperature is 1\.77")
    assert len(inspect_page.get("plotly_chart")) == 1


@pytest.mark.slow
@pytest.mark.parametrize("definition", DEFINITIONS)
def test_every_definition_can_be_inspected(app, definition):
    page = open_run(app, run_of(definition, "finished").id)
    assert not page.exception
    assert not page.error
    convolutions = 3 if definition == "residual" else 2
    assert sum("maps of" in each.value for each in page.markdown) == convolutions
    turn_to(page, "Its filters")
    assert sum("filters of" in each.value for each in page.markdown) == convolutions


def test_the_image_is_the_one_that_was_clicked_among_the_errors(inspect_page):
    turn_to(inspect_page, "What it gets most wrong")
    clicked = next(each for each in inspect_page.button if each.key and each.key.startswith("worst_errors_"))
    assert clicked.key == f"worst_errors_{WORST}"
    other = [each for each in inspect_page.button if each.key and each.key.startswith("worst_errors_")][3]
    index = int(other.key.removeprefix("worst_errors_"))
    other.click().run()
    assert not inspect_page.exception
    assert inspect_page.number_input(key="looked_into").value == index
    assert shows(inspect_page, f"Test image {index:,}: a")


def test_more_errors_are_shown_on_demand(inspect_page):
    turn_to(inspect_page, "What it gets most wrong")
    button(inspect_page, "More of 156").click().run()
    assert sum((each.key or "").startswith("worst_errors_") for each in inspect_page.button) == 36


def test_an_image_is_chosen_by_its_number_or_by_chance(inspect_page):
    inspect_page.number_input(key="looked_into").set_value(7).run()
    assert shows(inspect_page, r"Test image 7.*a 9")
    button(inspect_page, "Random error").click().run()
    assert not inspect_page.exception
    digit = next(re.search(r"Test image [\d,]+: a (\d)", each) for each in texts(inspect_page) if "Test image" in each)
    assert digit
    assert not shows(inspect_page, f"spoke for {digit[1]} rather than")
    assert shows(inspect_page, f"rather than {digit[1]}:")


def test_one_can_ask_which_pixels_spoke_for_another_digit(inspect_page):
    inspect_page.selectbox(key="inspected_image_digit").set_value("4").run()
    assert shows(inspect_page, "spoke for 4:")
    inspect_page.selectbox(key="inspected_image_rather_than_4_4").set_value("9").run()
    assert shows(inspect_page, "spoke for 4 rather than 9:")


def test_the_image_goes_to_the_canvas(inspect_page):
    inspect_page.number_input(key="looked_into").set_value(7).run()
    button(inspect_page, "Send to the canvas").click().run()
    assert not inspect_page.exception
    assert ">Draw</h1>" in " ".join(each.proto.body for each in inspect_page.get("html"))
    assert shows(inspect_page, r"Test image 7.*a 9")
    assert inspect_page.multiselect(key="answering").value == ["reference-sequential"]  # which answered there


@pytest.mark.slow
def test_a_run_that_trains_is_shown_with_its_newest_weights(app):
    run = run_of("module")
    with RunWriter.claim(run):
        page = open_run(app, run.id)
    assert not page.exception
    assert page.info[0].value == "It is running: its newest weights are shown, 1 of 4 epochs done."


@pytest.mark.slow
def test_each_part_shows_the_network_as_it_was_at_the_moment_of_the_slider(app):
    run = run_of("module", "finished")
    with RunWriter.claim(run) as writer:
        writer.save_snapshot(DEFINITIONS["module"].build(5).state_dict(), 3)
        writer.save_snapshot(DEFINITIONS["module"].build(0).state_dict(), 469)
    page = open_run(app, run.id)
    slider = page.select_slider(key=f"film_{run.id}")
    assert (slider.options, slider.value) == (["3", "469"], 469)
    now = page.metric[0].value
    slider.set_value(3).run()
    assert not page.exception
    images, labels = images_of("mnist")
    then = (predict_logits(DEFINITIONS["module"].build(5), images).argmax(dim=1) == labels).float().mean()
    assert page.metric[0].value == percent(float(then)) != now
    assert shows(page, "after step 3")
    for part in ("Confusion matrix", "What it gets most wrong", "Its filters", "How sure, how right"):
        turn_to(page, part)
    page.select_slider(key=f"film_{run.id}").set_value(469).run()
    assert page.metric[0].value == now


@pytest.mark.slow
def test_the_newest_is_shown_until_somebody_turns_back_and_again_when_he_asks_for_it(app):
    run = run_of("module")
    with RunWriter.claim(run) as writer:
        for step in (3, 469):
            writer.save_snapshot(DEFINITIONS["module"].build(step).state_dict(), step)
        writer.save_weights(DEFINITIONS["module"].build(469).state_dict(), 469)
        page = open_run(app, run.id)
        writer.save_weights(DEFINITIONS["module"].build(938).state_dict(), 938)
        page.run()
        assert page.select_slider(key=f"film_{run.id}").value == 938
        page.select_slider(key=f"film_{run.id}").set_value(469).run()
        page.run()
        assert page.select_slider(key=f"film_{run.id}").value == 469
        assert not page.info
        page.select_slider(key=f"film_{run.id}").set_value(938).run()
        writer.save_weights(DEFINITIONS["module"].build(1).state_dict(), 1_407)
        button(page, "Take the newest").click().run()
        assert page.select_slider(key=f"film_{run.id}").value == 1_407
    assert not page.exception


@pytest.mark.slow
def test_a_run_that_trains_is_shown_with_one_state_of_its_weights(app):
    run = run_of("module")
    config = run.config
    with RunWriter.claim(run) as writer:
        for step in (3, 469):
            writer.save_snapshot(DEFINITIONS["module"].build(step).state_dict(), step)
        writer.save_weights(DEFINITIONS["module"].build(469).state_dict(), 469)
        writer.save_checkpoint(checkpoint_of(TrainingState(DEFINITIONS["module"].build(7), config), run.identity))
        page = open_run(app, run.id)
        index = page.number_input(key="looked_into").value
    image = images_of("mnist")[0][index : index + 1]
    digit = int(predict_logits(DEFINITIONS["module"].build(469), image).argmax())
    assert any(f'data-digit="{digit}"' in each for each in texts(page))


@pytest.mark.slow
def test_a_run_that_is_deleted_while_it_is_asked_is_left(app, monkeypatch):
    run = run_of("module", "finished")
    predict = test_set._predict

    def deleted_meanwhile(network, of):
        if run.folder.exists():
            delete_run(run)
        return predict(network, of)

    monkeypatch.setattr(test_set, "_predict", deleted_meanwhile)
    page = open_run(app, run.id)
    assert not page.exception
    assert chosen(page) != run.id


def test_a_network_without_a_convolution_has_no_film_of_filters(app):
    run = create_run(
        read_definition("Rows", "nn.Sequential(nn.Flatten(), nn.Linear(784, 10))"), TrainingConfig(epochs=1)
    )
    with RunWriter.claim(run) as writer:
        writer.append_training(EpochEvent(1, 469, 0.2, 0.2, 0.95, 3.0, 20_000.0))
        for step in (0, 469):
            writer.save_snapshot(run.definition.build(step).state_dict(), step)
        writer.save_weights(run.definition.build(469).state_dict(), 469)
        writer.finished()
    page = open_run(app, run.id)
    turn_to(page, "Its filters")
    assert not page.get("download_button")


@pytest.mark.slow
def test_a_snapshot_that_is_damaged_is_said_to_be_so_and_the_others_are_shown(app):
    run = run_of("module", "finished")
    with RunWriter.claim(run) as writer:
        for step in (1, 2, 469):
            writer.save_snapshot(DEFINITIONS["module"].build(step).state_dict(), step)
    run.snapshot_path(1).write_bytes(b"damaged")
    run.snapshot_path(2).write_bytes(run.snapshot_path(469).read_bytes())
    page = open_run(app, run.id)
    assert page.select_slider(key=f"film_{run.id}").options == ["2", "469"]
    page.select_slider(key=f"film_{run.id}").set_value(2).run()
    assert not page.exception
    assert "is another run's, or of another step" in page.error[0].value.replace("\\", "")


@pytest.mark.parametrize(
    ("has_weights", "sentence"), [(False, "has no weights yet"), (None, "There is no run '20200101-000000-000' here")]
)
def test_a_run_that_cannot_be_shown_is_said_to_be_so(app, has_weights, sentence):
    run_id = "20200101-000000-000" if has_weights is None else run_of("module", "stopped", has_weights=False).id
    page = open_run(app, run_id)
    assert not page.exception
    assert sentence in page.warning[0].value.replace("\\", "")
    assert chosen(page) == "reference-sequential"


def test_damaged_weights_are_said_to_be_so(app):
    run = run_of("module", "finished")
    run.weights_path.write_bytes(b"damaged")
    page = open_run(app, run.id)
    assert not page.exception
    assert "is damaged" in page.error[0].value
    assert chosen(page) == run.id
