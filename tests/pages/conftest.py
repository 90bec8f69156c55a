from collections.abc import Iterator
from functools import cache

import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from cnnlab.workers import child
from cnnlab.workers.scheduler import Scheduler


@pytest.fixture(scope="session", autouse=True)
def installed_packages_are_looked_through_once() -> Iterator[None]:
    """Have Streamlit look for components once: it reads about all installed packages anew for each `AppTest`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


@pytest.fixture(autouse=True)
def only_tests_that_wait_train(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the queue wait, and make no worker ready, where a test does not wait for anything to train."""
    if "wait_for" not in request.fixturenames:
        monkeypatch.setattr(Scheduler, "_look_at_queue", lambda self: None)
        monkeypatch.setattr(child, "start_first_worker", lambda: None)


@pytest.fixture
def app() -> AppTest:
    """Return the lab, opened on its landing page."""
    return AppTest.from_file("../../app.py", default_timeout=30).run()


@pytest.fixture
def train_page(app) -> AppTest:
    """Return the lab, opened on the Train page."""
    return app.switch_page("pages/train.py").run()
