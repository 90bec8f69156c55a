from collections.abc import Callable

import pytest
from stepped import CONFIG, built

from cnnlab.stepping.stepper import Stepper


@pytest.fixture
def stepper(mnist) -> Callable[..., Stepper]:
    """Return a function that begins a run of a network: three epochs of sixteen batches."""
    return lambda config=CONFIG, network="module", pen=None: Stepper(built(network, config.seed), mnist, config, pen)
