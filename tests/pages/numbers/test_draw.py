import re
from types import SimpleNamespace

import numpy as np
import pytest
from truth import REFERENCE, images_and_labels, picture, probabilities

from cnnlab.drawing.my_digits import keep
from cnnlab.drawing.preparation import prepare
from cnnlab.drawing.strokes import Stroke

RUNS = ["reference-sequential", "reference-drawing"]


@pytest.fixture
def ink():
    """Return a canvas with a small nine in its corner: prepared it is read, and plainly shrunk it is not."""
    nine = images_and_labels()[0][20]
    canvas = np.zeros((280, 280))
    canvas[10:150, 20:160] = np.kron(nine, np.ones((5, 5)))
    return canvas


@pytest.fixture
def cards(html):
    """Return a function that reads what each card says: its bars, its digit, and its answer to the plain shrink."""

    def read(page):
        found = {}
        for card in re.findall(r"<section.*?</section>", html(page), re.DOTALL):
            run_id = re.search(r'data-run="(.*?)"', card)[1]
            found[run_id] = {
                "digit": re.search(r'data-digit="(.*?)"', card)[1],
                "large": " ".join(re.findall(r'class="named"><b>(\d)</b>(.*?)</div>', card)[0]),
                "bars": dict(re.findall(r'title="(\d): (.*?)"', card)),
                "heights": re.findall(r"height:([\d.]+%)", card),
                "shrunk": re.search(r'class="shrunk">(.*?)</div>', card)[1],
            }
        return found

    return read


def percent(share):
    return f"{round(share * 1000) / 10:.1f} %"


@pytest.fixture
def drawn_page(open_page, ink):
    """Return the Draw page with that canvas."""
    page = open_page("draw", runs=",".join(RUNS))
    page.session_state["canvas_picture"] = SimpleNamespace(ink=ink, title="A nine", steps=None)
    page.run()
    assert not page.exception
    return page


def read_out(page, html):
    """Return what is read out to those who do not see the cards."""
    return re.search(r'<p class="unseen" role="status">(.*?)</p>', html(page))[1]


def test_each_card_says_what_the_weights_answer_to_the_drawing_as_prepared_and_as_plainly_shrunk(
    drawn_page, cards, ink, html
):
    found = cards(drawn_page)
    assert list(found) == RUNS
    shrunk = ink.reshape(28, 10, 28, 10).mean(axis=(1, 3))
    for run_id in RUNS:
        for_prepared, for_shrunk = probabilities(REFERENCE / run_id, np.stack([prepare(ink).centred, shrunk]))
        assert found[run_id] == {
            "digit": "9",
            "large": f"9 {percent(for_prepared[9])}",
            "bars": {str(digit): percent(for_prepared[digit]) for digit in range(10)},
            "heights": [percent(share).replace(" ", "") for share in for_prepared],
            "shrunk": f"After a plain shrink: {for_shrunk.argmax()}, {percent(for_shrunk.max())}",
        }
        assert f": 9, {percent(for_prepared[9])}." in read_out(drawn_page, html)
    assert found[RUNS[0]]["large"] == "9 96.2 %"
    assert found[RUNS[0]]["shrunk"] == "After a plain shrink: 1, 40.8 %"


def test_the_small_pictures_are_the_steps_in_black_on_white(drawn_page, html, ink):
    found = re.findall(r'<img src="([^"]*)" alt="(Drawn|Cropped|Fitted|Centred|Plain shrink)"', html(drawn_page))
    shown = {title: 1 - picture(address) / 255 for address, title in found}
    rows, columns = (np.flatnonzero((ink >= 0.1).any(axis=axis)) for axis in (1, 0))
    expected = {
        "Drawn": ink,
        "Cropped": ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1],
        "Fitted": prepare(ink).fitted,
        "Centred": prepare(ink).centred,
        "Plain shrink": ink.reshape(28, 10, 28, 10).mean(axis=(1, 3)),
    }
    assert list(shown) == list(expected)
    for title, picture_of_it in expected.items():
        np.testing.assert_allclose(shown[title], picture_of_it, atol=0.5 / 255 + 1e-6, err_msg=title)


def test_the_table_of_my_digits_counts_right_answers(open_page):
    strokes = {1: ((140, 40), (140, 240)), 7: ((60, 60), (220, 60), (120, 240)), 4: ((60, 60), (220, 60), (120, 240))}
    for digit, points in strokes.items():
        keep(digit, (Stroke(22, tuple((float(x), float(y)) for x, y in points)),))
    (table,) = open_page("draw", runs=",".join(RUNS)).table
    assert table.value["My digits"].tolist() == ["2 of 3"] * 2


def test_of_thirty_digits_on_the_table_tells_the_share(open_page):
    for number in range(30):
        keep(1 if number < 21 else 7, (Stroke(22, ((140.0, 40.0), (140.0 + number / 10, 240.0))),))
    (table,) = open_page("draw", runs=",".join(RUNS)).table
    assert table.value["My digits"].tolist() == ["70.00 % (21 of 30)"] * 2
