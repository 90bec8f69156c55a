"""What a run is called is shown as text, whatever it is."""

import re
import shutil

import pytest
from playwright.sync_api import expect

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run, reference_runs
from cnnlab.runs.writer import RunWriter
from cnnlab.training.recipe import TrainingConfig

pytestmark = pytest.mark.browser


def letter_by_letter(name: str) -> re.Pattern:
    """Return a pattern for a name in which signs that are not seen may stand."""
    return re.compile("\u2060?".join(map(re.escape, name)))


@pytest.mark.parametrize(
    "name",
    [
        "<img src=x onerror=document.title='caught'><b>bold</b>",
        "**stars** :red[red] $x^2$ [link](https://example.com) :material/home: :smile: `code`",
        ":-1: www.example.com somebody@example.com -> <- ~~gone~~",
        "👨\u200d👩\u200d👧 семь 七 \u202e=1+1",
    ],
    ids=["HTML", "Markdown", "an emoji's code, addresses and arrows", "emoji and a mark that turns the direction"],
)
def test_a_name_is_shown_letter_by_letter_on_every_page(name, open_page):
    run, other = (create_run(DEFINITIONS["module"], TrainingConfig(epochs=1)) for _ in range(2))
    for each in (run, other):
        shutil.copy(reference_runs()[0].weights_path, each.weights_path)
        with RunWriter.claim(each) as writer:
            writer.finished()
    (run.folder / "name.txt").write_text(name)
    both = f"{run.id},{other.id}"
    page = open_page("/")
    for path in ("/", f"/train?run={run.id}", f"/compare?runs={both}", f"/draw?runs={both}", f"/inspect?run={run.id}"):
        page.goto(page.url.split("/", 3)[0] + "//" + page.url.split("/", 3)[2] + path)
        shown = page.locator(".stMain")
        if path.startswith("/inspect"):
            expect(page.get_by_role("combobox", name="Run")).to_have_value(re.compile(f"^{re.escape(run.name)} · "))
        else:
            expect(shown).to_contain_text(letter_by_letter(run.name))
        expect(page).not_to_have_title("caught")
        expect(
            shown.locator("a[href*='example.com'], del, b, img[src=x], .katex, [data-testid=stException]")
        ).to_have_count(0)
