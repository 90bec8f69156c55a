import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *(ROOT / "cnnlab" / "guide").glob("*.md")]
LINK = re.compile(r"\]\((?!https?:)([^)]+)\)")
NAMED_FILE = re.compile(r"`((?:cnnlab|tests|pages)/[\w./-]+)`")


def anchors_in(page):
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors_in(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_is_there(page):
    named = [name for name in NAMED_FILE.findall(page.read_text(encoding="utf-8")) if "NAME" not in name]
    assert [name for name in named if not (ROOT / name).exists()] == []
