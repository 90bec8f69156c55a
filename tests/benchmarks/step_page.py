"""How long from a click on *Next step* until the step is told and the open station has its numbers, in a real browser.

    PYTHONPATH=. python tests/benchmarks/step_page.py [--steps 40]

It steps through the tutorial's run at each of the five stations, and prints for each the median and the 95th percentile
of the milliseconds until the new step stands in the line, and until the page is at rest. Last it goes to the end of the
epoch, one step back, to the first and ten on.
"""

import argparse
import re
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

from lab_in_browser import AT_REST, chromium, server
from playwright.sync_api import Page, sync_playwright

STATIONS = ("1 Batch", "2 Forward", "3 Loss", "4 Backward", "5 Update")
# To the line, and until 30 ms have passed in which nothing on the page changed: these are not counted.
_STEP = """
(name) => new Promise((resolve) => {
  const lines = () => [...document.querySelectorAll(".stMarkdown p")];
  const line = () => lines().find((each) => each.textContent.startsWith("Step "));
  const before = line().textContent;
  const begun = performance.now();
  let told = null, changed = begun;
  const watch = new MutationObserver(() => {
    changed = performance.now();
    if (told === null && line() && line().textContent !== before) told = changed - begun;
  });
  watch.observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
  const look = () => {
    const state = document.querySelector("[data-testid=stApp]").dataset.testScriptState;
    if (told !== null && state === "notRunning" && performance.now() - changed > 30) {
      watch.disconnect();
      resolve([told, changed - begun]);
    } else setTimeout(look, 5);
  };
  [...document.querySelectorAll("button")].find((each) => each.textContent.includes(name)).click();
  look();
})
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=40)
    steps = parser.parse_args().steps
    with tempfile.TemporaryDirectory() as home, server(home) as lab, sync_playwright() as playwright:
        page: Page = chromium(playwright).new_page(viewport={"width": 1280, "height": 800})
        begun = time.monotonic()
        page.goto(f"{lab.url}/step")
        page.get_by_text(re.compile("^Step 1 of")).wait_for()
        print(f"the first visit: {time.monotonic() - begun:.2f} s")
        for station in STATIONS:
            page.get_by_role("tab", name=station).click()
            page.wait_for_selector(AT_REST)
            waits = [page.evaluate(_STEP, "Next step") for _ in range(steps + 3)][3:]
            for what, each in zip(("told", "at rest"), zip(*waits, strict=True), strict=True):
                print(
                    f"{station}, {what}: median {median(each):.0f} ms, 95 % within {quantiles(each, n=20)[-1]:.0f} ms"
                )
        begun = time.monotonic()
        page.get_by_role("button", name="To the end of the epoch").click()
        page.get_by_text(re.compile("^Step 469 of")).wait_for()
        print(f"to the end of the epoch: {time.monotonic() - begun:.2f} s")
        page.wait_for_selector(AT_REST)
        for name in ("Back", "First", "10 steps"):
            told, rest = page.evaluate(_STEP, name)
            print(f"{name}: told after {told:.0f} ms, at rest after {rest:.0f} ms")


if __name__ == "__main__":
    assert Path("app.py").exists(), "Call it from the root of the repository."
    main()
