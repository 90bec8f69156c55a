"""How many runs may train at once, kept in the lab's home."""

import json
from pathlib import Path

from cnnlab.storage.home import home

MAX_PARALLEL_RUNS = 16


def parallel_runs() -> int | None:
    """Return how many runs may train at once; None for as many as have cores for their threads."""
    try:
        settings = json.loads(settings_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    count = settings.get("parallel_runs") if isinstance(settings, dict) else None
    return count if isinstance(count, int) and 1 <= count <= MAX_PARALLEL_RUNS else None


def settings_path() -> Path:
    return home() / "settings.json"
