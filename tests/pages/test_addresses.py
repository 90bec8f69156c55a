"""What somebody may write into the address bar."""

import pytest

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run
from cnnlab.training.recipe import TrainingConfig


@pytest.mark.parametrize("asked", ["../../etc/passwd", "\0<b>", "x" * 10_000, "prefix"])
def test_a_run_that_is_none_is_said_to_be_so_on_every_page(app, asked):
    run = create_run(DEFINITIONS["module"], TrainingConfig())
    asked = run.id[:10] if asked == "prefix" else asked
    for page, parameter in (("train", "run"), ("compare", "runs"), ("draw", "runs"), ("inspect", "run")):
        app.switch_page(f"pages/{page}.py")
        app.query_params.clear()
        app.query_params[parameter] = asked
        app.run()
        assert not app.exception
        assert any("There is no run" in told.value for told in [*app.error, *app.warning])
