"""The lessons that ship, a teacher's own, and whether what they claim is so."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cnnlab.data.pen_digits import load_strokes
from cnnlab.drawing.preparation import moved, prepare
from cnnlab.drawing.strokes import Stroke, ink_of
from cnnlab.inference.answers import answers_of
from cnnlab.inference.test_set import images_of, moved_accuracy_of
from cnnlab.lessons.lesson import Kind
from cnnlab.lessons.shelf import all_lessons, own_lessons_folder
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.folder import DRAWING_RUN
from cnnlab.runs.shelf import find_run
from cnnlab.stepping.forward import loss_in
from cnnlab.stepping.stepper import Stepper
from cnnlab.training.recipe import TrainingConfig

LESSONS = all_lessons()[0]
OWN = "---\ntitle: Mine\nabout: It.\nminutes: 5\n---\n## Read\nText.\n"


def own_lesson(name, content):
    own_lessons_folder().mkdir(exist_ok=True)
    (own_lessons_folder() / name).write_bytes(content)


def test_eight_ship_in_their_order():
    assert [lesson.name[0] for lesson in LESSONS] == list("12345678")
    assert all(5 <= lesson.minutes <= 10 for lesson in LESSONS)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_each_predicts_before_it_does_explains_and_ends_with_three_questions(lesson):
    kinds = [step.kind for step in lesson.steps]
    assert kinds[0] is Kind.READ
    assert kinds[-3:] == [Kind.ASK] * 3
    assert {Kind.PREDICT, Kind.DO, Kind.EXPLAIN} <= set(kinds)
    assert all(step.page and step.title for step in lesson.steps if step.kind is Kind.DO)
    assert all(step.title for step in lesson.steps if step.kind is Kind.PREDICT)


def test_a_teachers_own_stands_behind_them_or_in_their_place():
    own_lesson("9-mine.md", OWN.encode())
    own_lesson("3-one-step.md", OWN.encode())
    lessons, mistakes = all_lessons()
    assert mistakes == []
    assert [lesson.title for lesson in lessons][-1] == "Mine"
    assert len(lessons) == 9
    assert lessons[2].title == "Mine"


@pytest.mark.parametrize(
    ("content", "told"), [(b"# No lesson", "line 1"), (b"\xff\xfe", "not written in UTF-8"), (b"", "line 1")]
)
def test_a_file_that_is_none_is_named_and_the_others_are_there(content, told):
    own_lesson("9-mine.md", content)
    own_lesson("notes.txt", b"anything")
    lessons, (mistake,) = all_lessons()
    assert len(lessons) == 8
    assert str(mistake).startswith("9-mine.md")
    assert told in str(mistake)


def text_of(number):
    lesson = LESSONS[number - 1]
    return " ".join(f"{step.text} {step.after} {[choice.text for choice in step.choices]}" for step in lesson.steps)


def test_the_numbers_of_the_layers_are_those_that_the_lessons_tell():
    network = DEFINITIONS["sequential"].build(0)
    numbers = [
        sum(parameter.numel() for parameter in layer.parameters()) for layer in network if list(layer.parameters())
    ]
    assert sum(numbers) == 29_322
    assert (numbers[0], numbers[1], numbers[2]) == (80, 1_168, 25_664)
    for claim in ("29,322", "25,664", "80 and 1,168"):
        assert claim in text_of(8)
    assert max(numbers) == numbers[2]
    assert "8 × (3 × 3 + 1) = 80" in text_of(2)
    assert next(layer for layer in network if isinstance(layer, torch.nn.Linear)).in_features == 16 * 5 * 5 == 400


def test_a_network_that_knows_nothing_has_the_loss_that_the_lesson_tells_and_a_step_lowers_it(mnist):
    config = TrainingConfig(threads=1)
    stepper = Stepper(DEFINITIONS["sequential"].build(0), mnist, config)
    step = stepper.step(1)
    assert step.loss == pytest.approx(2.303, abs=0.05)
    assert loss_in(step, step.after) < step.loss
    assert "−log(1/10) is 2.303" in text_of(3)
    assert F.cross_entropy(torch.zeros(1, 10), torch.tensor([3])).item() == pytest.approx(2.303, abs=0.001)


def test_the_tutorials_last_losses_lie_as_far_apart_as_the_lesson_says():
    assert {"0.0431", "0.0359"} <= set(re.findall(r"0\.\d{4}", text_of(5)))
    assert "0.0072" in text_of(5)


@pytest.mark.slow
def test_a_small_digit_is_read_the_same_with_a_thin_pen_and_becomes_a_blob_with_a_thick_one():
    digits, run = load_strokes("testing").first(100), find_run(DRAWING_RUN)

    def answers(size, brush):
        prepared = [
            prepare(ink_of([Stroke(brush, tuple(map(tuple, 10 + stroke / 255 * size))) for stroke in strokes]))
            for strokes in digits.strokes
        ]
        return [each.digit for each in answers_of(run, np.stack([each.centred for each in prepared]))]

    as_usual = answers(180, 20)

    def share_read_alike(brush):
        return np.mean([one == other for one, other in zip(as_usual, answers(40, brush), strict=True)])

    assert share_read_alike(6) > 0.95
    assert share_read_alike(20) < 0.7


def test_the_four_of_the_seventh_lesson_is_a_nine_to_the_tutorials_network_when_the_thickest_pen_goes_along_it():
    assert "take 65,\na 4" in text_of(7)
    image = images_of("mnist")[0][65, 0].numpy().repeat(10, axis=0).repeat(10, axis=1)
    lines = [((125, 80), (120, 110), (110, 140), (107, 160)), ((110, 140), (170, 140)), ((167, 55), (165, 240))]
    drawn = [image, ink_of([Stroke(40, line) for line in lines], image)]
    images = np.stack([prepare(each).centred for each in drawn])

    def digits(run):
        return [each.digit for each in answers_of(find_run(run), images)]

    assert digits("reference-sequential") == digits("reference-module") == [4, 9]
    assert digits(DRAWING_RUN) == [4, 4]


@pytest.mark.slow
def test_moved_images_are_read_as_the_seventh_lesson_says():
    tutorial, drawing = find_run("reference-sequential"), find_run(DRAWING_RUN)
    assert drawing.config.shift == 1
    assert moved_accuracy_of(tutorial, 4) == pytest.approx(0.602, abs=0.002)  # as the tour says
    assert moved_accuracy_of(drawing, 4) == pytest.approx(0.924, abs=0.002)
    assert moved_accuracy_of(drawing, 8) < 0.5


@pytest.mark.slow
def test_images_are_moved_for_the_accuracy_as_they_are_on_draw():
    run = find_run("reference-sequential")
    images, labels = images_of("mnist")
    answers = answers_of(run, np.stack([moved(image[0], 4, 0) for image in images.numpy()]))
    right = np.array([each.digit for each in answers]) == labels.numpy()
    assert moved_accuracy_of(run, 4) == pytest.approx(right.mean(), abs=2e-4)  # in other batches: the last bits differ
