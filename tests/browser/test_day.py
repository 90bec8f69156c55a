"""A day's work from its first click to its last, and then what each page says and chooses by itself."""

import re

import numpy as np
import pytest
from hand import expect_rest, fill_in
from playwright.sync_api import Page, expect
from scipy import stats
from truth import REFERENCE, events, weights

from cnnlab.runs.run import Run
from cnnlab.runs.shelf import all_runs, find_run
from cnnlab.runs.transfer.archive import export_run
from cnnlab.sweeps.sweep import all_sweeps

pytestmark = pytest.mark.browser

RATES, SEEDS = (0.0003, 0.001, 0.003), (0, 1, 2)


def expect_said(page: Page, *texts: str) -> None:
    """Expect texts on the page, in this order; signs that are not seen may stand in them, and other texts between."""
    parts = (r"\u2060?".join(map(re.escape, text)) for text in texts)
    expect(page.locator(".stMain")).to_contain_text(re.compile(".*".join(parts), re.DOTALL), timeout=120_000)


def percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def accuracy(run: Run) -> float:
    return events(run.folder, "epoch")[-1]["test_accuracy"]


def train_both(page: Page) -> list[Run]:
    page.get_by_role("button", name="Recipe").click()
    fill_in(page, "Epochs", "1")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Train both").click()
    expect(page).to_have_url(re.compile(r"runs=\d{8}-\d{6}-\d{3}%2C\d{8}-\d{6}-\d{3}$"))
    return sorted(all_runs(), key=lambda run: run.id)


def sweep_nine(page: Page) -> dict[tuple[float, int], Run]:
    fill_in(page, "Epochs of each", "1")
    page.get_by_role("button", name="Start the sweep").click()
    expect_said(page, "9 of 9 runs ended")
    return {(run.config.learning_rate, run.config.seed): run for run in all_sweeps()[0].runs()}


def train_to_its_collapse(page: Page) -> Run:
    expect(page).to_have_url(re.compile(r"\?run="))
    expect_rest(page)
    before = page.url
    fill_in(page, "Epochs", "1")
    fill_in(page, "Learning rate", "0.1")
    page.get_by_role("button", name="Start training").click()
    expect(page).not_to_have_url(before)
    expect_said(page, "Collapsed in epoch 1")
    return all_runs()[0]


def answer_of(swept: dict[tuple[float, int], Run]) -> str:
    """Return what the sweep must say, by SciPy: the best mean, the next best, and whether that is more than chance."""
    by_rate = {rate: [accuracy(swept[rate, seed]) for seed in SEEDS] for rate in RATES}
    best, second, _ = sorted(RATES, key=lambda rate: -np.mean(by_rate[rate]))
    told = {}
    for rate in (best, second):
        low, high = stats.t.interval(0.95, 2, np.mean(by_rate[rate]), stats.sem(by_rate[rate]))
        interval = f"{100 * max(low, 0):.2f} to {percent(min(high, 1))}"
        told[rate] = f"{percent(np.mean(by_rate[rate]))} (95 % interval {interval}, 3 seeds)"
    points = 100 * (np.mean(by_rate[best]) - np.mean(by_rate[second]))
    is_sure = stats.ttest_ind(by_rate[best], by_rate[second], equal_var=False).pvalue < 0.05
    return (
        f"Learning rate {best:g} has the best mean accuracy: {told[best]}. The next best is learning rate {second:g} "
        f"with {told[second]}: a difference of {points:.2f} percentage points, "
        f"{'more than chance' if is_sure else 'which chance alone'} would explain, p"
    )


def test_after_a_day_each_page_chooses_what_answers_its_question(open_page, tmp_path):
    (tmp_path / "run.zip").write_bytes(export_run(find_run("reference-module")))
    page = open_page("/compare")
    lab = page.url.split("/compare")[0]
    pair = train_both(page)
    page.goto(f"{lab}/sweep")
    swept = sweep_nine(page)
    expect_said(page, answer_of(swept))
    page.goto(f"{lab}/train")
    expect_said(page, "Module, seed 0")  # not one of the nine, which are newer
    collapsed = train_to_its_collapse(page)
    batches = events(collapsed.folder, "batch")
    worst = max(batches, key=lambda batch: batch["loss"])
    expect_said(
        page,
        f"Collapsed in epoch 1: its loss rose to {worst['loss']:,.4g} in step {worst['step']:,}, and from then on it "
        f"learned nothing ({percent(accuracy(collapsed))} of the test images are right, as if it guessed). Try a "
        "smaller learning rate, such as 0.001",
    )
    page.goto(f"{lab}/train?run={collapsed.id}")  # a page that is not just being made anew by the end of its run
    page.get_by_role("button", name="Import a run").click()
    page.locator("input[type=file]").set_input_files(tmp_path / "run.zip")
    name, last = "Reference: nn.Module (imported)", events(REFERENCE / "reference-module", "epoch")[-1]
    expect_said(
        page,
        f"Imported as {name} · nn.Module · 10 of 10 epochs · {percent(last['test_accuracy'])} of the test images are "
        "right. Its network is here already: nn.Module.",
    )
    imported = all_runs()[0]
    expect(page).to_have_url(re.compile(imported.id))

    # Whoever opens the lab now has chosen nothing yet.
    page = open_page("/")
    best = percent(max(map(accuracy, swept.values())))
    row = f"Sweep over learning rate, seed · 9 runs · best {best}"
    expect_said(page, "Newest results", name, "lr 0.1", "collapsed", row, "Module · 1 epoch")
    page.get_by_text(row).click()
    runs = page.get_by_test_id("stExpanderDetails").get_by_role("link")
    expect(runs).to_have_count(1 + len(swept))
    expect(runs.filter(has_text="lr 0.003 · 1 epoch · seed 1")).to_have_count(1)
    runs.filter(has_text="Open on Sweep").click()
    expect_said(page, answer_of(swept))

    page = open_page("/compare")
    expect(page).to_have_url(re.compile(rf"runs={pair[0].id}%2C{pair[1].id}$"))
    for same, other in zip(*(weights(run.folder) for run in pair), strict=True):
        np.testing.assert_array_equal(same, other)
    expect_said(
        page,
        "Only the definition differs: Sequential · 1 epoch and Module · 1 epoch give the same answer to every test "
        "image: they are one network.",
    )
    page.goto(f"{lab}/draw")
    expect(page).to_have_url(re.compile(rf"runs=reference-drawing%2C{imported.id}$"))
    page.goto(f"{lab}/inspect")
    expect(page.get_by_role("combobox", name="Run")).to_have_value(re.compile(f"^{re.escape(name)} · "))
    wrong = round(10_000 * (1 - last["test_accuracy"]))
    expect_said(page, percent(last["test_accuracy"]), f"{wrong:,} of 10,000")

    page.goto(f"{lab}/train")
    page.get_by_role("button", name="All runs").click()
    page.get_by_role("textbox", name="Search").fill("0.003 seed 1")
    page.get_by_role("textbox", name="Search").press("Enter")
    found = page.locator("[data-testid=stPopoverBody] a")
    expect(found).to_have_count(1)
    found.click()
    expect(page).to_have_url(re.compile(swept[0.003, 1].id))
