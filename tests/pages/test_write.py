from dataclasses import replace

import pytest

from cnnlab.models.definitions import DEFINITIONS, ResidualNet
from cnnlab.models.reading.source import read
from cnnlab.models.reading.understanding import understand
from cnnlab.models.writing import as_module, as_sequential
from cnnlab.networks.shelf import delete_network, keep_network, kept_networks, networks_folder
from cnnlab.proof.process import Proof, end_proofs
from cnnlab.runs.shelf import create_run
from cnnlab.runs.writer import RunWriter
from cnnlab.training.events import EpochEvent
from cnnlab.training.recipe import TrainingConfig
from cnnlab.ui.frame.wording import as_text
from cnnlab.ui.write.examples import EXAMPLES

SEQUENTIAL, MODULE, RESIDUAL = (DEFINITIONS[name] for name in ("sequential", "module", "residual"))


@pytest.fixture
def write_page(app):
    """Return the lab, opened on the Write page."""
    yield app.switch_page("pages/write.py").run()
    end_proofs()


def turn_to(page, part):
    page.session_state["write_part"] = part
    page.run()
    assert not page.exception


def texts(page):
    kinds = (page.markdown, page.caption, page.info, page.error, page.warning)
    return [each.value for kind in kinds for each in kind]


def shows(page, text):
    return any(as_text(text) in each or text in each for each in texts(page))


def codes(page):
    return [each.value for each in page.code]


def graphs(page):
    return [each.proto.spec for each in page.get("graphviz_chart")]


def button(page, label):
    return next(each for each in page.button if each.label == label)


def type_in(page, source):
    page.text_area(key="source").set_value(source).run()
    assert not page.exception


def test_the_tutorials_list_stands_there_first_with_its_class_beside_it(write_page):
    assert not write_page.exception
    assert write_page.text_area(key="source").value == SEQUENTIAL.source
    assert codes(write_page) == [as_module(understand(read(SEQUENTIAL.source))).rstrip("\n")]
    assert shows(write_page, "The same network: with the same weights, the largest difference of their logits over")
    assert any("1,000 test images is 0." in text for text in texts(write_page))


def test_a_class_is_written_as_a_list(write_page):
    type_in(write_page, MODULE.source)
    assert codes(write_page) == [as_sequential(understand(read(MODULE.source))).rstrip("\n")]


def test_what_no_list_can_say_is_told_with_its_line(write_page):
    write_page.selectbox(key="started_from").set_value("Residual").run()
    assert write_page.text_area(key="source").value == RESIDUAL.source
    assert "Line 13 uses what line 12 gives twice" in write_page.info[0].value
    assert codes(write_page) == []


def test_a_mistake_is_told_at_its_line_and_mended_by_a_click(write_page):
    type_in(write_page, SEQUENTIAL.source.replace("8, 16, kernel_size", "8, 32, kernel_size"))
    assert "**Line 10.** nn" in write_page.error[0].value
    assert button(write_page, "Train it").disabled
    write_page.button(key="fix_0").click().run()
    assert not write_page.error
    assert "nn.Linear(32 * 5 * 5, 64)," in write_page.text_area(key="source").value
    assert "self.fc1 = nn.Linear(32 * 5 * 5, 64)" in codes(write_page)[0]


def test_a_mend_of_another_text_changes_nothing(write_page):
    type_in(write_page, SEQUENTIAL.source.replace("8, 16, kernel_size", "8, 32, kernel_size"))
    write_page.text_area(key="source").set_value(MODULE.source)  # typed in the moment before the click
    write_page.button(key="fix_0").click().run()
    assert write_page.text_area(key="source").value == MODULE.source


@pytest.mark.parametrize(
    "source", ["", "import os", "class Net(", "nn.Sequential(nn.LSTM(3, 4))", "\x00", "x" * 30_000]
)
def test_what_is_no_network_is_refused_in_a_sentence(write_page, source):
    type_in(write_page, source)
    assert write_page.error[0].value.startswith("Line 1")
    assert codes(write_page) == []


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_can_be_trained_as_it_stands(write_page, example):
    write_page.selectbox(key="started_from").set_value(example).run()
    assert not write_page.exception
    assert not write_page.error
    assert not write_page.warning
    assert not button(write_page, "Train it").disabled
    turn_to(write_page, "Graph")
    assert len(graphs(write_page)) == 1


def test_a_network_is_kept_under_its_name_and_turned_to_on_train(write_page):
    write_page.selectbox(key="started_from").set_value("Multi-layer perceptron").run()
    write_page.text_input(key="network_name").set_value("Rows")
    button(write_page, "Train it").click().run()
    assert not write_page.exception
    assert [kept.title for kept in kept_networks()] == ["Rows"]
    assert next(each for each in write_page.selectbox if each.label == "Network").value == "Rows"


def test_sizes_of_a_convolution_become_networks_that_a_sweep_tries(write_page):
    write_page.text_input(key="network_name").set_value("Mine").run()
    write_page.selectbox(key="sized_layer").set_value("conv2").run()
    button(write_page, "Compare them in a sweep").click().run()
    assert not write_page.exception
    names = [f"Mine (conv2: {count} filters)" for count in (8, 16, 32)]
    assert [kept.title for kept in reversed(kept_networks())] == names
    assert kept_networks()[1].source == SEQUENTIAL.source  # it has 16 as it was typed
    assert write_page.multiselect(key="sweep_fields").value == ["model", "seed"]
    assert write_page.multiselect(key="sweep_model").value == names
    assert shows(write_page, "9 runs over definition Mine (conv2: 8 filters), Mine (conv2: 16 filters)")


def test_a_size_that_cannot_be_is_said_and_nothing_is_kept(write_page):
    write_page.selectbox(key="started_from").set_value("All convolutional").run()
    write_page.selectbox(key="sized_layer").set_value("conv4").run()
    button(write_page, "Compare them in a sweep").click().run()
    assert "conv4 cannot have 8 filters here" in write_page.error[0].value
    assert kept_networks() == []
    write_page.selectbox(key="started_from").set_value("LeNet-5").run()  # which has no conv4
    assert not write_page.exception
    assert write_page.selectbox(key="sized_layer").value == "conv1"


def test_what_has_no_convolution_or_a_mistake_has_no_sizes(write_page):
    for source in (EXAMPLES["Multi-layer perceptron"], SEQUENTIAL.source.replace("Linear(64, 32)", "Linear(63, 32)")):
        type_in(write_page, source)
        assert not any(each.label == "Compare them in a sweep" for each in write_page.button)


def test_a_kept_network_is_deleted_when_one_says_so_twice_and_the_editor_keeps_its_text(write_page):
    assert not any(each.label == "Delete it for good" for each in write_page.button)  # an example stays
    keep_network("Rows", EXAMPLES["Multi-layer perceptron"])
    create_run(keep_network("Wide", EXAMPLES["LeNet-5"]), TrainingConfig())
    write_page.run()
    write_page.selectbox(key="started_from").set_value("Wide").run()
    assert shows(write_page, "**Wide** will be gone from all lists. 1 run trained it: a run has a source of its own")
    button(write_page, "Delete it for good").click().run()
    assert not write_page.exception
    assert [kept.title for kept in kept_networks()] == ["Rows"]
    assert write_page.selectbox(key="started_from").value is None
    assert write_page.text_area(key="source").value == EXAMPLES["LeNet-5"]
    assert "Wide" not in write_page.selectbox(key="started_from").options


def test_a_network_that_was_deleted_in_another_tab_leaves_the_page_as_it_is(write_page):
    keep_network("Rows", EXAMPLES["Multi-layer perceptron"])
    write_page.run()
    write_page.selectbox(key="started_from").set_value("Rows").run()
    delete_network(*kept_networks())
    write_page.run()
    assert not write_page.exception
    assert write_page.text_area(key="source").value == EXAMPLES["Multi-layer perceptron"]


def test_a_name_of_the_labs_own_is_refused(write_page):
    write_page.text_input(key="network_name").set_value("module")
    button(write_page, "Train it").click().run()
    assert "choose another name" in write_page.error[0].value
    assert kept_networks() == []


def test_a_kept_network_that_cannot_be_read_is_named(write_page):
    networks_folder().mkdir()
    (networks_folder() / "20260101-000000-000.json").write_text("{}", encoding="utf-8")
    write_page.run()
    assert "1 network of your own cannot be read" in write_page.warning[0].value


def test_the_tutorials_sources_stand_side_by_side_and_in_full(write_page):
    turn_to(write_page, "The tutorial's two")
    assert codes(write_page)[1:3] == [
        "nn.Conv2d(1, 8, kernel_size=3),\nnn.ReLU(),\nnn.MaxPool2d(2),",
        "self.conv1 = nn.Conv2d(1, 8, kernel_size=3)\nx = F.max_pool2d(F.relu(self.conv1(x)), 2)",
    ]
    assert "1 × 28 × 28 → 8 × 13 × 13" in texts(write_page)
    assert SEQUENTIAL.source.strip() in codes(write_page)


@pytest.mark.parametrize(("name", "total"), [("sequential", 29_322), ("module", 29_322), ("residual", 29_906)])
def test_each_definition_has_its_table_and_its_graph(write_page, name, total):
    turn_to(write_page, "The tutorial's two")
    write_page.segmented_control[0].set_value(name).run()
    assert not write_page.exception
    assert DEFINITIONS[name].source.strip() in codes(write_page)
    table = write_page.table[0].value
    assert table["Parameters"].iloc[-1] == total
    assert table["Parameters"].iloc[:-1].sum() == total
    assert "8 × 26 × 26" in graphs(write_page)[0]


def test_what_a_list_cannot_say_and_from_there_to_train_it(write_page):
    turn_to(write_page, "What a list cannot say")
    assert any(line.startswith("+        x = x + F.relu(self.branch(x))") for line in codes(write_page)[-1].split("\n"))
    assert '"max_pool2d" -> "add"' in graphs(write_page)[-1]
    assert any("29,906 parameters, 1.99 % more than the 29,322" in text for text in texts(write_page))
    [each for each in write_page.button if each.label == "Train it"][-1].click().run()
    assert next(each for each in write_page.selectbox if each.label == "Network").value == "residual"


@pytest.mark.slow
def test_the_page_has_the_proof_made_and_then_shows_it(write_page, wait_for):
    turn_to(write_page, "The proof")
    assert texts(write_page).count(":gray[Being computed …]") == 3
    wait_for(lambda: Proof().progress().has_ended)
    write_page.run()
    assert not write_page.exception
    sentences = "\n".join(texts(write_page))
    assert "one network, proved here: largest difference 0" in sentences
    for told in (
        "the largest difference of their logits over 10,000 test images is 0.",
        "From seed 0, nn.Sequential and nn.Module have the same loss at each of 100 steps, to the last bit.",
        "From seed 0, nn.Module and nn.Module declared backwards part at step 1 of 100",
        "With the same first weights, nn.Module and nn.Module declared backwards have the same loss",
    ):
        assert as_text(told).rstrip() in sentences
    button(write_page, "Prove it again").click().run()
    assert texts(write_page).count(":gray[Being computed …]") == 3


@pytest.mark.slow
def test_any_typed_pair_is_trained_over_100_steps_on_a_press(write_page, wait_for):
    type_in(write_page, EXAMPLES["LeNet-5"])
    button(write_page, "Train both for 100 steps").click().run()
    assert not write_page.exception
    assert shows(write_page, "Being computed …")
    proof = Proof(pair=(EXAMPLES["LeNet-5"], as_sequential(understand(read(EXAMPLES["LeNet-5"])))))
    wait_for(lambda: proof.progress().has_ended)
    write_page.run()
    assert shows(write_page, "the largest difference of their logits over 10,000 test images is 0.")
    assert shows(write_page, "nn.Module and nn.Sequential have the same loss at each of 100 steps, to the last bit.")
    type_in(write_page, EXAMPLES["Multi-layer perceptron"])
    assert button(write_page, "Train both for 100 steps")
    type_in(write_page, EXAMPLES["LeNet-5"])  # what was found stays
    assert shows(write_page, "nn.Module and nn.Sequential have the same loss at each of 100 steps")


@pytest.mark.slow
def test_a_proof_of_a_typed_pair_that_fails_says_why_and_can_be_made_again(write_page, wait_for, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONHOME", "/nowhere")  # Python itself does not find its library there
        button(write_page, "Train both for 100 steps").click().run()
        pair = (SEQUENTIAL.source, as_module(understand(read(SEQUENTIAL.source))))
        wait_for(lambda: Proof(pair=pair).progress().has_ended)
    write_page.run()
    assert "encodings" in write_page.error[0].value
    button(write_page, "Prove it again").click().run()
    wait_for(lambda: Proof(pair=pair).progress().is_finished)
    write_page.run()
    assert shows(write_page, "have the same loss at each of 100 steps")


def test_a_proof_that_fails_says_why(app, wait_for, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # Python itself does not find its library there
    Proof().start()
    wait_for(lambda: Proof().progress().has_ended)
    app.switch_page("pages/write.py").run()
    turn_to(app, "The proof")
    assert "encodings" in app.error[0].value


def test_definitions_that_cannot_be_aligned_stand_there_as_they_are(app, monkeypatch):
    monkeypatch.setitem(DEFINITIONS, "module", replace(MODULE, factory=ResidualNet))
    monkeypatch.setattr("cnnlab.ui.write.tutorial._MODULE", DEFINITIONS["module"])
    page = app.switch_page("pages/write.py").run()
    turn_to(page, "The tutorial's two")
    assert "do not do the same operations" in page.info[0].value
    assert codes(page)[1] == SEQUENTIAL.source.strip()


def test_a_home_that_cannot_be_written_is_said_to_be_so(app, monkeypatch):
    monkeypatch.setenv("CNNLAB_HOME", "/proc/nowhere")
    page = app.switch_page("pages/write.py").run()
    button(page, "Train it").click().run()
    assert as_text("The lab's home /proc/nowhere cannot be used") in page.error[0].value
    assert not page.exception


def test_the_time_of_an_epoch_is_that_of_as_many_multiply_adds_in_the_newest_runs(write_page):
    assert not any("an epoch here" in text for text in texts(write_page))  # no run tells how fast this machine is
    run = create_run(SEQUENTIAL, TrainingConfig(epochs=1, threads=1))
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        writer.append_training(EpochEvent(1, 469, 0.2, 0.2, 0.95, 3.0, 20_000.0))
        writer.finished()
    type_in(write_page, RESIDUAL.source)
    seconds = 60_000 / 20_000 * understand(read(RESIDUAL.source)).multiply_adds / 216_032
    assert any(f"about {round(seconds)} s an epoch here" in text for text in texts(write_page))
