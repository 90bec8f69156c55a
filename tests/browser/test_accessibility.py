"""What axe finds on each page, in both themes: nothing serious, nothing critical."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from hand import expect_rest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
# Streamlit's own, or Vega's, and why it stays: the guide's list of what is not promised.
LEFT = {"color-contrast": ("It was a …", 'class="token'), "svg-img-alt": ("role-mark",)}
PAGES = {
    "/": ".answer",
    "/write": "text=two tables of losses differ",
    "/step": ".st-key-batch_sheet button",
    "/train?run=reference-module": "table",
    "/compare?runs=reference-module,reference-sequential": "[data-testid=stVegaLiteChart], .js-plotly-plot",
    "/draw?runs=reference-module": ".answer",
    "/inspect?run=reference-module": ".answer",
    "/sweep": "input",
}


# Dark differs from light in its colours alone.
RULES = {"light": {}, "dark": {"runOnly": ["color-contrast", "link-in-text-block"]}}


@pytest.mark.parametrize("theme", RULES)
@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_serious(path, theme, look_at):
    page = look_at(path, color_scheme=theme)
    expect(page.locator(PAGES[path]).first).to_be_attached()
    expect_rest(page)
    page.wait_for_function("!document.querySelector('.stCode pre:not([tabindex])')")
    found = Axe().run(page, options={"resultTypes": ["violations"], **RULES[theme]}).response["violations"]
    serious = {
        f"{each['id']}: {node['html'][:160]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
        if not any(text in node["html"] for text in LEFT.get(each["id"], ()))
    }
    assert serious == set()
