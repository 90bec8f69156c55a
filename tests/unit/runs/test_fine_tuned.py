import pytest
import torch

from cnnlab.drawing.my_digits import MyDigit
from cnnlab.drawing.strokes import Stroke
from cnnlab.fine_tuning.recipe import LEAST_DIGITS, CannotFineTune
from cnnlab.fine_tuning.start import Start
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.folder import START, DamagedRun
from cnnlab.runs.queue import enqueue
from cnnlab.runs.shelf import all_runs, create_fine_tuned_run, create_run
from cnnlab.runs.transfer.archive import RefusedArchive, export_run, import_run
from cnnlab.runs.writer import RunWriter
from cnnlab.training.recipe import TrainingConfig

DIGITS = [MyDigit(1, (Stroke(20, ((x, 50.0), (x + 20.5, 230.0))),)) for x in map(float, range(60, 60 + LEAST_DIGITS))]
WEIGHTS = DEFINITIONS["module"].build(7).state_dict()


@pytest.fixture
def trained():
    """Return a run that has weights."""
    run = create_run(DEFINITIONS["module"], TrainingConfig(epochs=1, threads=1), "Mine")
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        writer.save_weights(WEIGHTS, step=0)
    return run


def test_a_fine_tuned_run_begins_with_the_weights_and_the_digits_that_it_was_made_of(trained):
    run = create_fine_tuned_run(trained, DIGITS)
    start = run.load_start()
    assert run.name == "Mine, fine-tuned"
    assert list(start.own_digits) == DIGITS
    assert all(torch.equal(tensor, WEIGHTS[name]) for name, tensor in start.weights.items())
    assert (run.fine_tuning.run, run.fine_tuning.own_digits) == (trained.identity, LEAST_DIGITS)


def test_one_digit_too_few_or_no_weights_make_no_such_run(trained):
    with pytest.raises(CannotFineTune, match=f"{LEAST_DIGITS - 1} are there to train on; it takes {LEAST_DIGITS}"):
        create_fine_tuned_run(trained, DIGITS[1:])
    untrained = create_run(DEFINITIONS["module"], TrainingConfig(epochs=1, threads=1), "New")
    with pytest.raises(CannotFineTune, match="New has no weights yet"):
        create_fine_tuned_run(untrained, DIGITS)
    with pytest.raises(CannotFineTune, match="begin with the run that it was made of, Mine"):
        create_fine_tuned_run(create_fine_tuned_run(trained, DIGITS), DIGITS)


def test_a_run_whose_start_is_damaged_is_not_trained(trained):
    run = create_fine_tuned_run(trained, DIGITS)
    content = (run.folder / START).read_bytes()
    (run.folder / START).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DamagedRun):
        enqueue(run)


def test_an_imported_run_has_the_same_start(trained):
    imported = import_run(export_run(create_fine_tuned_run(trained, DIGITS)))
    assert list(imported.load_start().own_digits) == DIGITS


def test_a_start_with_another_networks_weights_is_not_imported(trained, monkeypatch):
    other = Start(DEFINITIONS["sequential"].build(0).state_dict(), tuple(DIGITS))
    monkeypatch.setattr(Start, "to_bytes", lambda self, to_bytes=Start.to_bytes: to_bytes(other))
    content = export_run(create_fine_tuned_run(trained, DIGITS))
    before = [run.id for run in all_runs()]
    with pytest.raises(RefusedArchive, match=r"its weights are not those of nn\.Module"):
        import_run(content)
    assert [run.id for run in all_runs()] == before
