import re

import numpy as np
import pytest
from truth import picture

from cnnlab.drawing.photos import PictureSteps
from cnnlab.drawing.preparation import moved, prepare, shrink
from cnnlab.inference.answers import Answer
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run
from cnnlab.training.recipe import TrainingConfig
from cnnlab.ui.answers import bars
from cnnlab.ui.answers.bars import move_in_words, steps_view


@pytest.fixture
def prepared():
    ink = np.zeros((280, 280), np.float32)
    ink[20:200, 100:120] = 1
    return prepare(ink)


@pytest.fixture
def steps(monkeypatch):
    """Return a function that tells the steps that are shown, with what is said of each, and their pictures."""

    def shown(*arguments, **keywords):
        written = []
        monkeypatch.setattr(bars.st, "html", written.append)
        steps_view(*arguments, **keywords)
        found = re.findall(r'<figure.*?src="(.*?)" alt="(.*?)"( class=smooth)?>.*?<small>(.*?)</small>', written[0])
        told = [(title, words.replace("\u00a0", " "), bool(smooth)) for _, title, smooth, words in found]
        moves = re.search(r'data-right="(.*?)" data-down="(.*?)"', written[0]).groups()
        return told, {title: 1 - picture(address) / 255 for address, title, *_ in found}, moves

    return shown


STEPS = [
    ("Drawn", "280 × 280 pixels", True),
    ("Cropped", "the box around the ink", True),
    ("Fitted", "into 20 × 20", False),
    ("Centred", "what the networks see", False),
    ("Plain shrink", "without these steps", False),
]


def test_a_drawing_in_its_place_is_seen_as_it_was_centred(prepared, steps):
    told, _, moves = steps(prepared)
    assert told == STEPS
    assert moves == ("0", "0")


@pytest.mark.parametrize(("move", "words"), [((3, -2), "3 px right, 2 px up"), ((0, 4), "4 px down")])
def test_a_moved_drawing_has_one_more_step_which_is_what_the_networks_see(prepared, steps, move, words):
    told, pictures, moves = steps(prepared, move=move)
    assert told == [*STEPS[:3], ("Centred", "by its mass", False), ("Moved", words, False), STEPS[4]]
    assert moves == tuple(map(str, move))
    np.testing.assert_allclose(pictures["Moved"], moved(prepared.centred, *move), atol=0.003)
    np.testing.assert_allclose(pictures["Plain shrink"], shrink(prepared.drawn), atol=0.003)


@pytest.mark.parametrize("move", [(0, 0), (3, 0)])
def test_where_nothing_is_drawn_each_step_is_white(steps, move):
    told, pictures, _ = steps(None, move=move)
    assert [title for title, *_ in told] == [title for title, *_ in STEPS]
    assert all(each.shape == (1, 1) and each.max() == 0 for each in pictures.values())


def test_the_steps_from_a_photo_come_first_in_a_third_of_their_size(prepared, steps):
    chance = np.random.default_rng(0)
    seen, light, kept = (chance.random((30, 60), np.float32) for _ in range(3))
    told, pictures, _ = steps(prepared, PictureSteps(prepared.drawn, seen, light, kept))
    assert told == [
        ("Photo", "in grey", True),
        ("Light", "without thin strokes", True),
        ("Kept", "darker, and of the digit", True),
        *STEPS,
    ]
    for title, expected in (("Photo", 1 - seen), ("Light", 1 - light), ("Kept", kept)):
        np.testing.assert_allclose(pictures[title], expected[::3, ::3], atol=0.003)
    assert steps(prepared, PictureSteps(prepared.drawn))[0] == STEPS  # of what was drawn on a screen


@pytest.mark.parametrize(
    ("move", "words"),
    [
        ((0, 0), ""),
        ((1, 0), "1 px right"),
        ((-1, 0), "1 px left"),
        ((0, 1), "1 px down"),
        ((-2, -3), "2 px left, 3 px up"),
    ],
)
def test_a_move_in_words(move, words):
    assert move_in_words(*move).replace("\u00a0", " ") == words


@pytest.fixture
def run():
    return create_run(DEFINITIONS["module"], TrainingConfig(epochs=1))


def probabilities(digit, share):
    return np.where(np.arange(10) == digit, share, (1 - share) / 9).astype(np.float32)


def test_a_card_marks_the_most_probable_digit_and_says_when_it_is_unlike_one(run):
    answers = [Answer(probabilities(4, 0.91)), Answer(probabilities(7, 0.55))]
    for is_unlike in (False, True):
        card = bars._card(run, "A & B", answers, is_unlike=is_unlike)
        unlike = "unlike a digit" if is_unlike else ""
        assert f'<div class="unlike">{unlike}</div>' in card
        assert f'aria-label="4, 91.0 %{", " if is_unlike else ""}{unlike}"' in card
        assert re.findall(r'class=most[^>]*>(?:<i style="height:(.*?)">|(\d))', card) == [("91.0%", ""), ("", "4")]
        assert "A &amp; B" in card
        assert "After a plain shrink: 7, 55.0 %" in card


def test_a_card_without_an_answer_says_why_and_has_no_bar(run):
    card = bars._card(run, "A", None, "It is <gone>.")
    assert '<div class="named none">It is &lt;gone&gt;.</div>' in card
    assert 'data-digit=""' in card
    assert re.findall(r"height:(.*?)\"", card) == ["0.0%"] * 10
    assert "class=most" not in card
    assert bars._card(run, "A", None).count("Nothing drawn yet") == 2  # shown, and read out


def test_an_image_that_needs_no_preparation_has_no_plain_shrink(run):
    assert '<div class="shrunk">&nbsp;</div>' in bars._card(run, "A", [Answer(probabilities(4, 0.91))])
