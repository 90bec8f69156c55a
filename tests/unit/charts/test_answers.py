import numpy as np
import pandas as pd

from cnnlab.charts.answers import reliability_figure


def test_what_is_stated_and_what_is_right_are_drawn_over_the_line_on_which_both_are_equal():
    curve = pd.DataFrame(
        {
            "scaled": [False, False, False, True],
            "answers": [10, 0, 20, 30],
            "stated": [0.5, 0.6, 0.95, 0.9],
            "right": [0.4, np.nan, 0.9, 0.91],
        }
    )
    equal, as_it_answers, with_its_temperature = reliability_figure(curve, text_color="black").data
    assert equal.x == equal.y == (0.3, 1)
    assert as_it_answers.name == "as it answers"
    assert list(as_it_answers.customdata) == [10, 20]
    assert (list(as_it_answers.x), list(as_it_answers.y)) == ([0.5, 0.95], [0.4, 0.9])
    assert (list(with_its_temperature.x), list(with_its_temperature.y)) == ([0.9], [0.91])
