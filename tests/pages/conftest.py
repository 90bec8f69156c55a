import pytest
from streamlit.testing.v1 import AppTest


@pytest.fixture
def app() -> AppTest:
    """Return the lab, opened on its landing page."""
    return AppTest.from_file("../../app.py", default_timeout=30).run()


@pytest.fixture
def train_page(app) -> AppTest:
    """Return the lab, opened on the Train page."""
    return app.switch_page("pages/train.py").run()
