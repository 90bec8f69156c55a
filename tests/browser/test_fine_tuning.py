"""Fine-tuning on one's own digits, from the click to what it came to."""

import json
import re

import pytest
from own_digits import own_digits
from playwright.sync_api import expect

from cnnlab.drawing.my_digits import add, my_digits
from cnnlab.fine_tuning.recipe import parted
from cnnlab.runs.log import Status
from cnnlab.runs.shelf import all_runs

pytestmark = pytest.mark.browser


def test_a_network_learns_my_digits_and_the_page_says_what_that_gave(open_page, wait_for):
    add(own_digits(80))
    to_train_on, held_out = parted(my_digits().digits)
    page = open_page("/draw?runs=reference-sequential")
    page.get_by_role("button", name="Fine-tune", exact=True).click()
    wait_for(all_runs)
    (run,) = all_runs()
    expect(page.locator(f".answer[data-run='{run.id}']")).to_have_count(1)  # it answers as it learns
    after = page.get_by_role("row", name=re.compile(rf"^After \d+ of {len(held_out)}: "))
    expect(after).to_be_visible(timeout=180_000)
    assert run.status is Status.FINISHED
    assert list(run.load_start().own_digits) == to_train_on
    assert json.loads(run.manifest_path.read_text())["fine_tuning"]["own_digits"] == len(to_train_on)
    expect(page.get_by_text("On your held-out digits,")).to_be_visible()

    page.get_by_role("link", name="How it trained").click()
    expect(page.get_by_role("heading", name="Reference: nn.Sequential, fine-tuned")).to_be_visible()
    with_digits = f"fine-tuned from Reference: nn.Sequential with {len(to_train_on)} own digits"
    expect(page.get_by_text(with_digits)).to_be_visible()
