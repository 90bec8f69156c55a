from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnlab.lessons.checks import CHECKS, Check, check_written
from cnnlab.lessons.lesson import Choice, Kind, UnreadableLesson
from cnnlab.lessons.reading import figures_in, filled, read_lesson

FRONT = "---\ntitle: A lesson\nabout: What it is.\nminutes: 6\n---\n"
WHOLE = (
    FRONT
    + """
## Read: First
This is read.

## Predict: A number
page: train
measured: test_accuracy

How many of 100?

> You said {predicted}; it was {test_accuracy}.

## Do
page: train
check: trained 2 epochs=3 learning_rate=0.01 augment=on data=mnist+pen
Train it.

## Ask
Which?
- [ ] This
- [x] That
> Because.
"""
)


def mistake_in(text):
    with pytest.raises(UnreadableLesson) as refusal:
        read_lesson("mine", text)
    return refusal.value.line, str(refusal.value)


def test_a_lesson_is_its_front_and_its_steps():
    lesson = read_lesson("mine", WHOLE)
    assert (lesson.name, lesson.title, lesson.about, lesson.minutes) == ("mine", "A lesson", "What it is.", 6)
    assert [step.kind for step in lesson.steps] == [Kind.READ, Kind.PREDICT, Kind.DO, Kind.ASK]
    read, predict, do, ask = lesson.steps
    assert (read.title, read.text) == ("First", "This is read.")
    assert (predict.page, predict.measured, predict.after) == (
        "train",
        "test_accuracy",
        "You said {predicted}; it was {test_accuracy}.",
    )
    settings = (("epochs", 3), ("learning_rate", 0.01), ("augment", True), ("data", "mnist+pen"))
    assert (do.title, do.check) == ("", Check("trained", settings, 2))
    assert (ask.choices, ask.after) == ((Choice("This"), Choice("That", True)), "Because.")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "begins with ---"),
        ("# Hello", 1, "begins with ---"),
        ("---\ntitle: A\nabout: B\n---\n## Read\nText.", 4, "minutes: is missing"),
        ("---\ntitle: A\nabout: B\nminutes: soon\n---", 4, "minutes is 'soon'"),
        ("---\ntitle: A\nauthor: B\n---", 3, "'author: B' is none of title"),
        ("---\ntitle: A", 2, "--- that ends"),
        (FRONT, 6, "at least one step"),
        (FRONT + "Hello", 6, "a step begins with one of"),
        (FRONT + "## Guess\nWhat?", 6, "a step begins with one of"),
        (FRONT + "## Read\n", 6, "a step has a text"),
        (FRONT + "## Read\n\n" + "word " * 61, 6, "at most 60 words; this one has 61"),
        (FRONT + "## Read\nspeed: 3\nText.", 7, "'speed' is no setting of a step"),
        (FRONT + "## Read\npage: moon\nText.", 7, "page is 'moon'"),
        (FRONT + "## Read\nText.\n\nIt is {beauty}.", 9, "{beauty} is no figure"),
        (FRONT + "## Read\nText.\n- [ ] a", 6, "only a prediction and a question"),
        (FRONT + "## Predict\nmeasured: beauty\nText.", 7, "measured is 'beauty'"),
        (FRONT + "## Predict\nText.", 6, "answers to choose from"),
        (FRONT + "## Do\nText.", 6, "has a check:"),
        (FRONT + "## Do\ncheck: sung\nText.", 7, "there is no check 'sung'"),
        (FRONT + "## Do\ncheck: trained epochs=0\nText.", 7, "epochs is '0'; allowed is a whole number from 1"),
        (FRONT + "## Do\ncheck: trained speed=1\nText.", 7, "'speed' is no setting of a recipe"),
        (FRONT + "## Do\ncheck: trained augment=maybe\nText.", 7, "augment is 'maybe'"),
        (FRONT + "## Do\ncheck: compared 5\nText.", 7, "compared SETTING HOW MANY"),
        (FRONT + "## Do\ncheck: drawn well\nText.", 7, "'well' cannot stand behind the check drawn"),
        (FRONT + "## Do\nfill: seed=x\ncheck: both\nText.", 7, "seed is 'x'"),
        (FRONT + "## Do\nfill: augment=on\ncheck: both\nText.", 7, "cannot be filled in"),
        (FRONT + "## Do\nfill: epochs=1,2\ncheck: both\nText.", 7, "cannot be filled in"),
        (FRONT + "## Do\nfill: seed=1\ncheck: both\nText.", 6, "is for a step on the page sweep"),
        (FRONT + "## Explain\nText.", 6, "followed by the lab's"),
        (FRONT + "## Ask\nText.\n- [x] a\n> b", 6, "two answers or more"),
        (FRONT + "## Ask\nText.\n- [x] a\n- [x] b\n> c", 6, "one of them right"),
        (FRONT + "## Ask\nText.\n- [x] a\n- [ ] b", 6, "says why"),
        (FRONT + "## Read\n" + "x" * 100_001, 1, "at most 100 kB"),
    ],
)
def test_a_mistake_is_named_with_its_line(text, line, words):
    told = mistake_in(text)
    assert told[0] == line
    assert words in told[1]
    assert told[1].startswith(f"mine.md, line {line}: ")


@given(st.text(), st.integers(0, len(WHOLE)))
def test_nonsense_is_refused_in_a_sentence_or_read(nonsense, place):
    for text in (nonsense, FRONT + nonsense, WHOLE[:place] + nonsense + WHOLE[place:]):
        with suppress(UnreadableLesson):
            read_lesson("mine", text)


def test_each_check_is_told_how_it_is_written():
    for name, kind in CHECKS.items():
        assert kind.usage.split()[0] == name
        assert check_written({"compared": "compared seed 2", "opened": "opened draw"}.get(name, name)).name == name


def test_figures_are_put_in_their_places_and_other_braces_stay():
    assert figures_in("{a} and {b}") == {"a", "b"}
    assert filled("{a} and {b}", {"a": "1"}) == "1 and {b}"
