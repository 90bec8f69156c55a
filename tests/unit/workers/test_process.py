import pytest

from cnnlab.fused.compiler import CannotFuse
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.workers import process
from cnnlab.workers.process import get_ready


@pytest.mark.slow
def test_each_network_is_made_ready_once_until_there_is_a_run_to_train(monkeypatch):
    built = []
    state = process.TrainingState
    monkeypatch.setattr(process, "TrainingState", lambda model, config: built.append(model) or state(model, config))
    answers = iter([False, False, True])
    get_ready(is_called=lambda: next(answers))
    assert len(built) == 2 < len(DEFINITIONS)


def test_a_kernel_that_cannot_be_compiled_keeps_no_worker_from_getting_ready(monkeypatch):
    def refuse():
        raise CannotFuse("no compiler")

    monkeypatch.setattr(process, "head_kernel", refuse)
    assert len(get_ready(is_called=lambda: True).train_labels) == 60_000
