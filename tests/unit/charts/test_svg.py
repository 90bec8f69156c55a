from xml.etree import ElementTree

import pytest

from cnnlab.charts.svg import Line, line_chart

FALLING = Line("A & <b>", "#123456", ((1, 1.0), (2, 0.1), (3, 0.01)))


def drawn(*lines):
    return ElementTree.fromstring(line_chart(lines, x_title="epoch", y_title="loss"))


def places_of(chart, anchor):
    """Return where the numbers along an axis stand, by what they say; those below the chart are in the middle."""
    along = "x" if anchor == "middle" else "y"
    texts = [
        text for text in chart.iter("text") if text.get("text-anchor") == anchor and "transform" not in text.attrib
    ]
    return {text.text: float(text.get(along)) for text in texts}


def test_each_value_is_a_point_where_the_axes_say():
    chart = drawn(FALLING)
    circles = [(float(each.get("cx")), float(each.get("cy"))) for each in chart.iter("circle")]
    below, beside = places_of(chart, "middle"), places_of(chart, "end")
    for (x, y), (place, value) in zip(circles, FALLING.points, strict=True):
        assert x == pytest.approx(below[str(place)], abs=0.1)
        assert y == pytest.approx(beside[f"{value:g}"] - 4, abs=0.1)  # a number's foot stands below its line
    assert [each.find("title").text for each in chart.iter("circle")] == [
        "A & <b>: 1.0000",
        "A & <b>: 0.1000",
        "A & <b>: 0.0100",
    ]
    assert [each.get("stroke") for each in chart.iter("polyline")] == ["#123456"]


@pytest.mark.parametrize(("end", "step"), [(1, 1), (10, 1), (11, 2), (20, 2), (100, 10)])
def test_the_axis_of_places_has_at_most_eleven_numbers(end, step):
    below = places_of(drawn(Line("A", "red", ((0, 1.0), (end, 2.0)))), "middle")
    assert [each for each in below if each.isdigit()] == [str(place) for place in range(0, end + 1, step)]


def test_one_value_alone_has_an_axis_and_none_has_no_chart():
    assert list(drawn(Line("A", "red", ((1, 1.0),))).iter("circle"))
    assert line_chart([Line("A", "red", ())], x_title="epoch", y_title="loss") == ""


def test_a_dotted_line_has_no_points():
    chart = drawn(Line("A", "red", ((1, 1.0), (2, 2.0)), is_dotted=True))
    assert [each.get("stroke-dasharray") for each in chart.iter("polyline")] == ["2 4"]
    assert not list(chart.iter("circle"))
