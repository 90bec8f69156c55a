import numpy as np
import pandas as pd
import pytest

from cnnlab.charts.answers import confusion_figure, reliability_figure


def test_what_is_stated_and_what_is_right_are_drawn_over_the_line_on_which_both_are_equal():
    curve = pd.DataFrame(
        {
            "scaled": [False, False, False, True],
            "answers": [1, 0, 20, 30],
            "stated": [0.5, 0.6, 0.95, 0.9],
            "right": [0.4, np.nan, 0.9, 0.91],
        }
    )
    equal, as_it_answers, with_its_temperature = reliability_figure(curve, text_color="black").data
    assert equal.x == equal.y == (0.3, 1)
    assert as_it_answers.name == "as it answers"
    assert list(as_it_answers.customdata) == [1, 20]
    assert (list(as_it_answers.x), list(as_it_answers.y)) == ([0.5, 0.95], [0.4, 0.9])
    assert (list(with_its_temperature.x), list(with_its_temperature.y)) == ([0.9], [0.91])


MATRIX = np.zeros((10, 10), dtype=int)
MATRIX[4, 4], MATRIX[4, 9], MATRIX[7, 2] = 950, 7, -3


def test_errors_are_coloured_up_to_the_highest_and_right_answers_are_not():
    errors = confusion_figure(MATRIX, highest=7, text_color="black").data[0]
    assert (errors.zmin, errors.zmax) == (0, 7)
    assert np.isnan(np.diagonal(errors.z)).all()
    assert errors.z[4][9] == 7
    weakest, strongest = (opacity(color) for _, color in errors.colorscale)
    assert weakest < 0.1 < 0.5 < strongest


def test_a_difference_has_a_colour_for_more_and_one_for_less_and_its_diagonal_counts():
    difference = confusion_figure(MATRIX, highest=7, text_color="black", is_difference=True).data[0]
    assert (difference.zmin, difference.zmax) == (-7, 7)
    assert difference.z[4][4] == 950
    (low, less), (middle, nothing), (high, more) = difference.colorscale
    assert (low, middle, high) == (0, 0.5, 1)
    assert opacity(nothing) < 0.1 < 0.5 < opacity(less) == opacity(more)
    assert less != more


@pytest.mark.parametrize(("is_difference", "written"), [(False, "7"), (True, "+7")])
def test_a_cell_says_how_often_and_an_empty_one_says_nothing(is_difference, written):
    cells = confusion_figure(MATRIX, highest=7, text_color="black", is_difference=is_difference).data[1]
    assert [text for text in cells.text if text] == ["+950" if is_difference else "950", written, "-3"]
    assert cells.customdata[49] == f"{written} × 4 answered as 9"


def test_digits_are_read_from_the_top_and_their_answers_from_the_left():
    layout = confusion_figure(MATRIX, highest=7, text_color="black").layout
    assert (layout.xaxis.range, layout.xaxis.side, layout.xaxis.title.text) == ((-0.5, 9.5), "top", "answer")
    assert (layout.yaxis.range, layout.yaxis.title.text) == ((9.5, -0.5), "digit")
    assert layout.xaxis.tickvals == layout.yaxis.tickvals == tuple(range(10))


def test_what_is_clicked_covers_no_number_and_a_click_chooses_and_nothing_is_dragged():
    figure = confusion_figure(MATRIX, highest=7, text_color="#123456")
    cells = figure.data[1]
    assert cells.marker.opacity == cells.selected.marker.opacity == cells.unselected.marker.opacity == 0
    assert cells.textfont.color == cells.unselected.textfont.color == "#123456"
    assert cells.marker.size >= 24  # pixels: as much as a finger needs
    assert (figure.layout.clickmode, figure.layout.dragmode) == ("event+select", False)
    assert figure.layout.xaxis.fixedrange
    assert figure.layout.yaxis.fixedrange


def test_nothing_but_the_numbers_and_colours_of_the_cells_is_drawn():
    figure = confusion_figure(MATRIX, highest=7, text_color="black")
    for axis in (figure.layout.xaxis, figure.layout.yaxis):
        assert (axis.showgrid, axis.zeroline) == (False, False)
    assert (figure.layout.showlegend, figure.data[0].showscale) == (False, False)


def test_the_names_of_the_curves_stand_in_a_row_above_them():
    nothing = pd.DataFrame(columns=["scaled", "answers", "stated", "right"])
    legend = reliability_figure(nothing, text_color="black").layout.legend
    assert (legend.orientation, legend.yanchor, legend.x) == ("h", "bottom", 0)
    assert 1 <= legend.y < 1.1


def test_both_axes_of_the_probabilities_are_in_percent_and_end_just_above_all():
    layout = reliability_figure(
        pd.DataFrame(columns=["scaled", "answers", "stated", "right"]), text_color="black"
    ).layout
    for axis in (layout.xaxis, layout.yaxis):
        assert (axis.tickformat, axis.fixedrange) == (".0%", True)
        assert axis.range[0] == 0.3
        assert 1 < axis.range[1] < 1.1
    assert (layout.xaxis.title.text, layout.yaxis.title.text) == ("stated probability", "right answers")


def opacity(color):
    """Return the last number of an rgba()."""
    return float(color.rstrip(")").rsplit(",", 1)[1])
