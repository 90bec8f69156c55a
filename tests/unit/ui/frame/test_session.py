import re
from pathlib import Path

from cnnlab.ui.frame.session import Key

ROOT = Path(__file__).parents[4]
PAGES = [ROOT / "app.py", *(ROOT / "pages").glob("*.py"), *(ROOT / "cnnlab" / "ui").rglob("*.py")]
KEY_IN_QUOTES = re.compile(r"session_state(?:\[|\.(?:get|pop|setdefault)\()\s*[\"']")


def test_no_key_of_the_sessions_state_is_written_elsewhere():
    assert [page.name for page in PAGES if KEY_IN_QUOTES.search(page.read_text(encoding="utf-8"))] == []


def test_every_key_is_used():
    sources = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [key.name for key in Key if f"Key.{key.name}" not in sources] == []
