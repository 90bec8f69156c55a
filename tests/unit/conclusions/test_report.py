import re
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest
from truth import REFERENCE, answers, images_and_labels

from cnnlab.conclusions.people import People
from cnnlab.conclusions.report import comparison_report, run_report
from cnnlab.inference.test_set import pen_accuracy_of
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run, reference_runs
from cnnlab.runs.writer import RunWriter
from cnnlab.training.recipe import TrainingConfig
from cnnlab.wording import percent

pytestmark = pytest.mark.slow

DIGITS = images_and_labels()[1]
NASTY = """<script>caught()</script><img src=x onerror="caught()">'&amp;"""


class Elements(HTMLParser):
    """The elements and attributes of a document."""

    def __init__(self, document):
        super().__init__()
        self.tags, self.attributes = [], []
        self.feed(document)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    handle_startendtag = handle_starttag


@pytest.fixture(scope="module")
def report():
    runs = [run for run in reference_runs() if run.id != "reference-module"]
    return comparison_report(runs, {run.id: answers(REFERENCE / run.id)[0] for run in runs}, DIGITS)


def text_of(document):
    return unescape(re.sub(r"<[^>]+>", "", document.partition("</style>")[2]))


def test_a_report_has_the_verdict_first(report):
    text = text_of(report)
    assert text.index("The recipes differ") < text.index("Train loss") < text.index("Results") < text.index("Sources")
    assert "Reference: For drawing is the better one, by more than chance" in text
    assert "p < 0.001; which of the differences it comes from cannot be told." in text


def test_a_report_has_the_accuracies_the_recipes_and_the_sources(report):
    text = text_of(report)
    assert "98.44 %" in text
    assert "RMSprop" in text or "rmsprop" in text
    assert DEFINITIONS["sequential"].source.strip() in text


def test_a_report_asks_for_nothing_and_runs_nothing(report):
    elements = Elements(report)
    assert not {"script", "link", "img", "iframe", "object", "base", "form", "a"} & set(elements.tags)
    assert not [name for name in elements.attributes if name.startswith("on") or name in ("src", "href", "xlink:href")]
    assert "url(" not in report
    assert "@import" not in report
    assert "default-src 'none'" in report


def test_no_script_comes_from_a_runs_name_source_or_reason(monkeypatch):
    run = create_run(DEFINITIONS["module"], TrainingConfig(epochs=1), NASTY[:80])
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        writer.failed(NASTY)
    monkeypatch.setattr(run, "source", NASTY)
    for document in (run_report(run, None, DIGITS), comparison_report([run, *reference_runs()], {}, DIGITS)):
        elements = Elements(document)
        assert not {"script", "img"} & set(elements.tags)
        assert not [name for name in elements.attributes if name.startswith("on")]
        assert NASTY in text_of(document)


def test_runs_with_the_same_answers_are_said_to_be_one_network():
    runs = [run for run in reference_runs() if run.id != "reference-drawing"]
    document = comparison_report(runs, {run.id: answers(REFERENCE / runs[0].id)[0] for run in runs}, DIGITS)
    assert "they are one network." in text_of(document)


def test_a_report_on_one_run_is_called_like_it():
    (run,) = [run for run in reference_runs() if run.id == "reference-module"]
    document = run_report(run, np.asarray(answers(REFERENCE / run.id)[0]), DIGITS)
    assert "<h1>Reference: nn.Module</h1>" in document
    assert document.count("<polyline") == 3  # the run, and the tutorial's two


def test_a_report_compares_what_people_drew_too(report):
    """Its table has both accuracies with their intervals; the older log of the first has only MNIST's."""
    assert "On digits drawn by people" not in text_of(report)
    runs = [run for run in reference_runs() if run.id != "reference-module"]
    on_mnist = {run.id: answers(REFERENCE / run.id)[0] for run in runs}
    digits = np.zeros(100, int)
    some_wrong = np.repeat([0, 1], [70, 30])
    people = People({runs[0].id: some_wrong, runs[1].id: digits}, digits, {})
    document = comparison_report(runs, on_mnist, DIGITS, people)
    assert "Of the 30 that only one of them reads rightly" in text_of(document)
    assert document.count("<th>95 % interval (Wilson)</th>") == 2
    for run in runs:
        assert percent(pen_accuracy_of(run)) in text_of(document)


def test_a_report_escapes_why_a_run_has_no_answers_to_drawings():
    runs = [run for run in reference_runs() if run.id != "reference-module"]
    on_mnist = {run.id: answers(REFERENCE / run.id)[0] for run in runs}
    people = People({}, np.zeros(0, int), {run.id: NASTY for run in runs})
    document = comparison_report(runs, on_mnist, DIGITS, people)
    assert not {"script", "img"} & set(Elements(document).tags)
    assert text_of(document).count(NASTY) == 2


def test_a_run_that_waits_has_a_report_of_its_recipe():
    document = run_report(create_run(DEFINITIONS["module"], TrainingConfig(learning_rate=0.003)), None, DIGITS)
    assert "<svg" not in document
    assert "0.003" in text_of(document)
