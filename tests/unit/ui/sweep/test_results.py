from types import SimpleNamespace

import pandas as pd
import pytest
import streamlit as st

from cnnlab.runs.log import Status
from cnnlab.ui.sweep.results import _compare_link, _heat_map_view, _means_view, _not_asked, _not_counted


def table(rates, epochs, accuracies, statuses=()):
    """Return a sweep's table."""
    return pd.DataFrame(
        {
            "run": [f"run{number}" for number in range(len(rates))],
            "status": statuses or [Status.FINISHED] * len(rates),
            "learning_rate": rates,
            "epochs": epochs,
            "test_accuracy": accuracies,
        }
    )


FOUR = table([0.001, 0.001, 0.01, 0.01, 0.01], [1, 2, 1, 2, 2], [0.96, 0.97, 0.95, 0.98, 0.99])


@pytest.fixture
def links(monkeypatch):
    """Return the links that are shown, each as its label and the runs that it opens."""
    shown = []

    def page_link(page, *, label, icon, query_params):
        assert page == "pages/compare.py"
        shown.append((label, query_params["runs"].split(",")))

    monkeypatch.setattr(st, "page_link", page_link)
    return shown


@pytest.fixture
def click(monkeypatch):
    """Return a function that lets the next chart be one in which a cell was clicked, or none."""
    charts = []

    def say(*cells):
        def altair_chart(chart, **options):
            charts.append(chart)
            return SimpleNamespace(selection={"cell": list(cells)} if cells else {})

        monkeypatch.setattr(st, "altair_chart", altair_chart)
        return charts

    return say


@pytest.mark.parametrize(("count", "linked"), [(1, 1), (2, 2), (20, 20), (21, 20)])
def test_up_to_twenty_runs_are_compared_by_a_link(count, linked, links):
    _compare_link(table([0.1] * count, [1] * count, [0.9] * count), "of this cell")
    runs = "1 run" if count == 1 else f"{linked} runs"
    assert links == [(f"Compare the {runs} of this cell", [f"run{number}" for number in range(linked)])]


def test_where_all_runs_were_deleted_there_is_no_link(links):
    _compare_link(FOUR[:0], "of this cell")
    assert links == []


def test_a_mean_that_is_clicked_leads_to_its_runs(links, click):
    charts = click({"learning_rate": 0.01})
    _means_view("sweep", FOUR, "learning_rate", "test_accuracy")
    assert links == [("Compare the 3 runs with this value", ["run2", "run3", "run4"])]
    means = charts[0].layer[0].data.set_index("learning_rate")
    assert means["mean"].to_dict() == pytest.approx({0.001: 0.965, 0.01: 0.97333333})
    # Student's, over two and three seeds: 12.706 · 0.005, cut at 1, and 4.303 · 0.0208 / √3.
    assert means["low"].to_dict() == pytest.approx({0.001: 0.965 - 12.7062 * 0.005, 0.01: 0.921622}, abs=1e-4)
    assert means["high"].to_dict() == {0.001: 1.0, 0.01: 1.0}


def test_a_single_seed_has_no_ends_of_an_interval(click):
    charts = click()
    _means_view("sweep", FOUR[1:2], "learning_rate", "test_accuracy")
    (row,) = charts[0].layer[0].data.to_dict("records")
    assert (pd.isna(row["low"]), pd.isna(row["high"]), row["runs"]) == (True, True, 1)


def test_what_nobody_clicked_leads_nowhere(links, click):
    click()
    _means_view("sweep", FOUR, "learning_rate", "test_accuracy")
    _heat_map_view("sweep", FOUR, ["learning_rate", "epochs"], "test_accuracy")
    assert links == []


def test_a_cell_that_is_clicked_leads_to_the_runs_that_share_both_values(links, click):
    click({"learning_rate": 0.01, "epochs": 2})
    _heat_map_view("sweep", FOUR, ["learning_rate", "epochs"], "test_accuracy")
    assert links == [("Compare the 2 runs of this cell", ["run3", "run4"])]


def test_runs_that_have_not_finished_are_counted():
    rows = table([0.1] * 4, [1] * 4, [0.9] * 4, [Status.FINISHED, Status.RUNNING, "pruned", Status.FAILED])
    assert _not_counted(rows) == "3 runs of 4 not finished: they count for nothing."
    assert _not_counted(rows[:2]) == "1 run of 2 not finished: they count for nothing."
    assert _not_counted(rows[:1]) == ""


def test_finished_runs_without_the_accuracy_that_is_looked_at_are_counted():
    rows = FOUR.assign(pen_accuracy=[None, 0.9, None, 0.9, 0.9], validation_accuracy=[None, 0.9, 0.9, 0.9, 0.9])
    assert _not_asked(rows, "pen_accuracy") == "2 runs of an earlier version, without this accuracy: left out."
    assert _not_asked(rows, "validation_accuracy") == "1 run without images kept out of training: left out."
    assert _not_asked(rows, "test_accuracy") == ""
    rows["status"] = Status.STOPPED
    assert _not_asked(rows, "pen_accuracy") == ""
