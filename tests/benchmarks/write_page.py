"""How long from a key to the written side on Write, in a real browser.

    PYTHONPATH=. python tests/benchmarks/write_page.py [--keys 60]

It changes the share of a dropout in a list of thirteen layers again and again, each time by one key, and prints the
median and the 95th percentile of the milliseconds from the key until the class beside it is another.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import median, quantiles

from lab_in_browser import AT_REST, chromium, server
from playwright.sync_api import Page, sync_playwright

# Dropout(0.25) and Dropout(0.251) in turn.
_KEY = """
() => new Promise((resolve) => {
  const area = document.querySelector(".st-key-source textarea");
  const written = document.querySelector(".st-key-written");
  const before = written.textContent;
  const place = area.value.indexOf("0.25") + 4;
  area.focus();
  area.setSelectionRange(place, area.value[place] === "1" ? place + 1 : place);
  const begun = performance.now();
  new MutationObserver((_, watch) => {
    if (document.querySelector(".st-key-written").textContent === before) return;
    watch.disconnect();
    resolve(performance.now() - begun);
  }).observe(document.body, { subtree: true, childList: true, characterData: true });
  document.execCommand(area.value[place] === "1" ? "delete" : "insertText", false, "1");
})
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=60)
    keys = parser.parse_args().keys
    with tempfile.TemporaryDirectory() as home, server(home) as lab, sync_playwright() as playwright:
        page: Page = chromium(playwright).new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"{lab.url}/write")
        page.locator(".st-key-written code").wait_for()
        page.wait_for_selector(AT_REST)
        page.get_by_role("combobox", name="Start from").click()
        page.get_by_role("option", name="Batch normalization and dropout").click()
        page.locator(".st-key-written code", has_text="0.25").wait_for()
        page.wait_for_selector(AT_REST)
        waits = []
        for number in range(keys + 5):
            wait = page.evaluate(_KEY)
            page.wait_for_selector(AT_REST)
            if number >= 5:
                waits.append(wait)
    print(f"{keys} keys: median {median(waits):.0f} ms, 95th percentile {quantiles(waits, n=20)[-1]:.0f} ms")


if __name__ == "__main__":
    assert Path("app.py").exists(), "Call it from the root of the repository."
    main()
