import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from truth import moments

from cnnlab.drawing.strokes import CANVAS_SIDE, Stroke, _curve, ink_of, is_coordinate, is_width, length_of, strokes_on

# As Fabric.js writes a stroke of its pencil.
PATH = {
    "type": "Path",
    "strokeWidth": 20,
    "path": [["M", 10, 20], ["Q", 10, 20, 15, 25], ["Q", 20, 30, 30, 40], ["L", 40, 50]],
}


def test_a_path_becomes_the_points_where_the_pen_was():
    assert strokes_on({"objects": [PATH]}) == (Stroke(20, ((10, 20), (20, 30), (40, 50))),)


@pytest.mark.parametrize("canvas", [None, {}, {"objects": []}, {"objects": [{"type": "Rect"}]}])
def test_a_canvas_without_paths_has_no_strokes(canvas):
    assert strokes_on(canvas) == ()


def test_no_strokes_leave_no_ink():
    assert ink_of([]).shape == (CANVAS_SIDE, CANVAS_SIDE)
    assert not ink_of([]).any()


def test_a_straight_stroke_is_as_wide_as_its_pen_and_has_round_ends():
    ink = ink_of([Stroke(20, ((100.0, 140.0), (200.0, 140.0)))])
    assert ink[:, 150].sum() == pytest.approx(20, abs=0.7)
    assert ink[140].sum() == pytest.approx(120, abs=1)
    assert ink.sum() == pytest.approx(100 * 20 + np.pi * 10**2, rel=0.02)


def test_a_curve_goes_between_its_points_not_through_them():
    corner = ink_of([Stroke(4, ((50.0, 50.0), (200.0, 50.0), (200.0, 200.0)))])
    assert corner[50, 199] == 0
    assert corner[50, 120] == 1


def test_two_strokes_are_no_darker_than_one():
    stroke = Stroke(20, ((50.0, 50.0), (200.0, 200.0)))
    np.testing.assert_array_equal(ink_of([stroke, stroke]), ink_of([stroke]))


def test_a_stroke_in_the_papers_colour_is_the_erasers():
    pen, eraser = strokes_on({"objects": [PATH | {"stroke": "#000000"}, PATH | {"stroke": "#ffffff"}]})
    assert (pen.erases, eraser.erases) == (False, True)


def test_the_eraser_takes_away_what_was_drawn_before_it_and_not_what_comes_after():
    line = Stroke(10, ((50.0, 140.0), (230.0, 140.0)))
    eraser = Stroke(30, ((140.0, 140.0), (140.0, 141.0)), erases=True)
    assert ink_of([line])[140, 140] == 1
    erased = ink_of([line, eraser])
    assert erased[140, 140] == 0
    assert erased[140, 100] == 1
    np.testing.assert_array_equal(ink_of([eraser, line]), ink_of([line]))


def test_strokes_lie_on_a_picture_and_the_eraser_takes_that_away_too():
    below = np.full((CANVAS_SIDE, CANVAS_SIDE), 0.4, np.float32)
    np.testing.assert_allclose(ink_of([], below), below, atol=1e-6)
    pen, eraser = Stroke(20, ((60.0, 60.0),)), Stroke(20, ((200.0, 200.0),), erases=True)
    ink = ink_of([pen, eraser], below)
    assert (ink[60, 60], ink[200, 200]) == (1, 0)
    assert ink[140, 140] == pytest.approx(0.4)


places = st.tuples(st.floats(-3000, 3000), st.floats(-3000, 3000))


@pytest.mark.slow
@given(st.lists(st.builds(Stroke, st.floats(1, 100), st.lists(places, min_size=1, max_size=20).map(tuple)), max_size=3))
def test_any_strokes_can_be_drawn(strokes):
    ink = ink_of(strokes)
    assert ink.shape == (CANVAS_SIDE, CANVAS_SIDE)
    assert 0 <= ink.min() <= ink.max() <= 1


def test_the_pen_leaves_its_ink_where_it_was():
    dot = ink_of([Stroke(20, ((100.0, 140.0),))])
    area, row, column, _ = moments(dot)[0]
    assert (row, column) == pytest.approx((140, 100), abs=0.01)
    assert area == pytest.approx(np.pi * 10**2, rel=0.01)


def test_a_curve_is_the_one_that_was_measured_beside_the_canvas():
    points = ((60.0, 70.0), (200.0, 60.0), (210.0, 150.0), (90.0, 170.0), (120.0, 240.0), (230.0, 225.0))
    ink = ink_of([Stroke(18, points)])
    np.testing.assert_allclose(moments(ink)[0], [8642.145, 147.378, 151.944, 50974.777], rtol=1e-5)
    t = np.linspace(0, 1, 50)[:, None]  # from the middle of two points, bent towards the next, to the middle after it
    start, bend, end = (np.array(point) for point in ((130.0, 65.0), (200.0, 60.0), (205.0, 105.0)))
    along = (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end
    assert ink[along[:, 1].astype(int), along[:, 0].astype(int)].min() == 1
    assert ink[225, 229] == 1


def path(points, width=20):
    return {"type": "path", "strokeWidth": width, "path": [["Q", *point, 0, 0] for point in points]}


@pytest.mark.parametrize(
    "beyond",
    [
        path([(1e9, 10), (10, 10)]),
        path([(10, float("nan"))]),
        path([(10, 10)], width=1e6),
        path([(10, 10)], width=0),
        path([(10, "10")]),
        path([(True, 10)]),
        path([]),
        {"type": "path", "strokeWidth": 20},
        {"type": 7},
        7,
    ],
)
def test_what_no_pen_draws_is_left_out(beyond):
    assert strokes_on({"objects": [beyond, PATH]}) == strokes_on({"objects": [PATH]})


def test_no_more_is_drawn_than_a_digit_can_have():
    assert len(strokes_on({"objects": [PATH] * 60})) == 50
    assert len(strokes_on({"objects": [path([(10, 10)] * 2_001)] * 3})) == 2
    far = path([(0, 0), (2_800, 0)] * 4)
    assert len(strokes_on({"objects": [far] * 9})) == 50_000 // (7 * 2_800)
    at_the_limits = path([(-2_800, 2_800)], width=100)
    assert len(strokes_on({"objects": [at_the_limits]})) == 1


@pytest.mark.parametrize("canvas", [None, 3, [], {"objects": 3}, {"objects": {"path": 1}}, {"objects": None}, {}])
def test_a_canvas_that_is_none_has_no_strokes(canvas):
    assert strokes_on(canvas) == ()


def test_how_far_a_pen_went_is_the_sum_of_its_ways():
    assert length_of(Stroke(20, ((0, 0), (3, 4), (3, 10), (3, 10)))) == 11
    assert length_of(Stroke(20, ((7, 7),))) == 0


@pytest.mark.parametrize(("value", "allowed"), [(1, True), (0.99, False), (100, True), (100.1, False), (True, False)])
def test_a_pens_width_lies_within_its_bounds(value, allowed):
    assert is_width(value) is allowed


@pytest.mark.parametrize("value", [2_800, -2_800.0])
def test_a_pen_may_be_ten_canvases_away_and_no_further(value):
    assert is_coordinate(value)
    assert not is_coordinate(1.001 * value)


def test_the_bounds_themselves_are_allowed():
    assert len(strokes_on({"objects": [PATH] * 50})) == 50
    assert len(strokes_on({"objects": [path([(10, 10)] * 5_000)]})) == 1
    assert strokes_on({"objects": [path([(10, 10)] * 5_001)]}) == ()
    fifty_thousand = path([(0, 0), (2_000, 0)] * 13)  # 25 ways of 2,000 pixels
    assert len(strokes_on({"objects": [fifty_thousand]})) == 1
    assert strokes_on({"objects": [path([*[(0, 0), (2_000, 0)] * 12, (0, 0), (2_000.5, 0)])]}) == ()


def test_a_picture_below_keeps_all_its_levels():
    below = np.broadcast_to(np.arange(280).clip(0, 255).astype(np.float32) / 255, (280, 280))
    np.testing.assert_allclose(ink_of([], below), below, atol=1e-6)


@pytest.mark.parametrize(("reach", "pieces"), [(0, 1), (1, 1), (4.4, 1), (4.6, 2), (30, 10)])
def test_a_curve_has_a_piece_for_every_three_pixels_and_at_least_one(reach, pieces):
    corner = np.array([[0.0, 0.0], [reach, 0.0], [reach, reach]])  # its middles are half as far apart, on both axes
    curve = _curve(corner)
    t = np.arange(pieces)[:, None] / pieces
    start, bend, end = (corner[0] + corner[1]) / 2, corner[1], (corner[1] + corner[2]) / 2
    bent = start * (1 - t) ** 2 + bend * 2 * t * (1 - t) + end * t**2
    np.testing.assert_allclose(curve, [corner[0], *bent, end, corner[2]])
