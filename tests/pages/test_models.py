from dataclasses import replace

import pytest

from cnnlab.models.definitions import DEFINITIONS, ResidualNet
from cnnlab.proof.process import Proof, end_proofs
from cnnlab.ui.frame.wording import as_text


@pytest.fixture
def models_page(app):
    """Return the lab, opened on the Models page, which has the proof made."""
    yield app.switch_page("pages/models.py").run()
    end_proofs()


def texts(page):
    return [each.value for kind in (page.markdown, page.caption, page.info) for each in kind]


def codes(page):
    return [each.value for each in page.code]


def graphs(page):
    return [each.proto.spec for each in page.get("graphviz_chart")]


def test_the_sources_stand_side_by_side_and_in_full(models_page):
    assert not models_page.exception
    assert codes(models_page)[:2] == [
        "nn.Conv2d(1, 8, kernel_size=3),\nnn.ReLU(),\nnn.MaxPool2d(2),",
        "self.conv1 = nn.Conv2d(1, 8, kernel_size=3)\nx = F.max_pool2d(F.relu(self.conv1(x)), 2)",
    ]
    assert "1 × 28 × 28 → 8 × 13 × 13" in texts(models_page)
    assert DEFINITIONS["sequential"].source.strip() in codes(models_page)


@pytest.mark.parametrize(("name", "total"), [("sequential", 29_322), ("module", 29_322), ("residual", 29_906)])
def test_each_definition_has_its_table_and_its_graph(models_page, name, total):
    models_page.segmented_control[0].set_value(name).run()
    assert not models_page.exception
    assert DEFINITIONS[name].source.strip() in codes(models_page)
    table = models_page.table[0].value
    assert table["Parameters"].iloc[-1] == total
    assert table["Parameters"].iloc[:-1].sum() == total
    assert "8 × 26 × 26" in graphs(models_page)[0]


def test_what_a_list_cannot_say(models_page):
    assert any(
        line.startswith("+        x = x + F.relu(self.branch(x))") for line in codes(models_page)[-1].split("\n")
    )
    assert '"max_pool2d" -> "add"' in graphs(models_page)[-1]
    assert any("29,906 parameters, 1.99 % more than the 29,322" in text for text in texts(models_page))


def test_the_page_has_the_proof_made_and_then_shows_it(models_page, wait_for):
    assert texts(models_page).count(":gray[Being computed …]") == 3
    wait_for(lambda: Proof().progress().has_ended)
    models_page.run()
    assert not models_page.exception
    sentences = "\n".join(texts(models_page))
    for told in (
        "the largest difference of their logits over 10,000 test images is 0.",
        "From seed 0, nn.Sequential and nn.Module have the same loss at each of 100 steps, to the last bit.",
        "From seed 0, nn.Module and nn.Module declared backwards part at step 1 of 100",
        "With the same first weights, nn.Module and nn.Module declared backwards have the same loss",
    ):
        assert as_text(told).rstrip() in sentences
    again = next(each for each in models_page.button if each.label == "Prove it again")
    again.click().run()
    assert texts(models_page).count(":gray[Being computed …]") == 3


def test_a_proof_that_fails_says_why(app, wait_for, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # Python itself does not find its library there
    Proof().start()
    wait_for(lambda: Proof().progress().has_ended)
    app.switch_page("pages/models.py").run()
    assert "encodings" in app.error[0].value
    assert not app.exception


def test_definitions_that_cannot_be_aligned_stand_there_as_they_are(app, monkeypatch):
    monkeypatch.setitem(DEFINITIONS, "module", replace(DEFINITIONS["module"], factory=ResidualNet))
    page = app.switch_page("pages/models.py").run()
    end_proofs()
    assert not page.exception
    assert "do not do the same operations" in page.info[0].value
    assert codes(page)[0] == DEFINITIONS["sequential"].source.strip()


def test_a_home_that_cannot_be_written_is_said_to_be_so(app, monkeypatch):
    monkeypatch.setenv("CNNLAB_HOME", "/proc/nowhere")
    page = app.switch_page("pages/models.py").run()
    assert as_text("The lab's home /proc/nowhere cannot be used") in page.error[0].value
    assert not page.exception
