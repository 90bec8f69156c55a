"""A run that begins as another and learns somebody's own digits, from its making to its archive."""

import json

import pytest
import torch
import torch.nn.functional as F
from archives import files_of, zipped
from trained import trained

from cnnlab.comparison.experiments import differing_settings, experiment_of
from cnnlab.comparison.labels import labels_of, recipe_in_words
from cnnlab.comparison.results import tutorial_losses_of
from cnnlab.conclusions.defaults import pair_to_compare
from cnnlab.data.mnist import TRAIN_IMAGES
from cnnlab.drawing.my_digits import MyDigit
from cnnlab.drawing.strokes import Stroke
from cnnlab.fine_tuning.recipe import CannotFineTune
from cnnlab.inference.networks import network_at
from cnnlab.lessons.class_room import leader_board
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.folder import DamagedRun
from cnnlab.runs.log import Status
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import create_fine_tuned_run, create_run, delete_run, find_run
from cnnlab.runs.transfer.archive import RefusedArchive, export_run, import_run
from cnnlab.runs.writer import RunWriter
from cnnlab.training.batches import Batches
from cnnlab.training.events import EpochEvent
from cnnlab.training.recipe import TrainingConfig
from cnnlab.workers import work as module
from cnnlab.workers.work import Order

pytestmark = pytest.mark.slow

DIGITS = [MyDigit(each % 10, (Stroke(20, ((100.0 + each, 50.0), (110.0, 230.0))),)) for each in range(12)]


@pytest.fixture(autouse=True)
def of_a_small_mnist(few_pen_digits, monkeypatch):
    """Let a fine-tuned run know how many images `mnist` has."""
    images = property(lambda config: 1000 if config.has_pen_digits else TRAIN_IMAGES - config.validation)
    monkeypatch.setattr(TrainingConfig, "mnist_images", images)


@pytest.fixture
def reference() -> Run:
    return find_run("reference-sequential")


@pytest.fixture
def run(reference) -> Run:
    return create_fine_tuned_run(reference, DIGITS)


def losses_of(run):
    return run.history().batches["loss"].tolist()


def test_its_first_loss_is_that_of_the_weights_it_began_with(run, reference, mnist):
    trained(run, mnist, until=1)
    pen = module.load_pen_data(with_training=True, own_digits=DIGITS)
    images, labels = Batches(mnist, run.config, pen.outlines, epoch=1)[0]
    model = reference.definition.build(seed=0)
    model.load_state_dict(reference.load_weights())
    assert losses_of(run) == pytest.approx([F.cross_entropy(model(images), labels).item()], abs=1e-5)


def test_cut_off_it_goes_on_to_the_same_bits_also_when_the_other_run_is_gone(reference, mnist):
    source = import_run(export_run(reference))
    uncut, cut = (create_fine_tuned_run(source, DIGITS) for _ in range(2))
    delete_run(source)
    trained(uncut, mnist)
    trained(cut, mnist, until=9)
    trained(cut, mnist)
    assert cut.status is Status.FINISHED
    assert losses_of(cut) == losses_of(uncut)
    weights = uncut.load_weights()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in cut.load_weights().items())


def test_ones_own_digits_are_what_it_trains_on(run, reference, mnist):
    others = create_fine_tuned_run(reference, [MyDigit(0, each.strokes) for each in DIGITS])
    assert losses_of(trained(run, mnist)) != losses_of(trained(others, mnist))


def test_another_machine_is_sent_what_it_begins_with(run):
    start = Order(run).load_start()
    assert start.own_digits == tuple(DIGITS)
    assert torch.equal(start.weights["0.weight"], find_run("reference-sequential").load_weights()["0.weight"])


def test_too_few_digits_and_a_run_without_weights_are_refused(reference):
    with pytest.raises(CannotFineTune, match="9 are there to train on; it takes 10 or more"):
        create_fine_tuned_run(reference, DIGITS[:9])
    with pytest.raises(CannotFineTune, match="has no weights yet"):
        create_fine_tuned_run(create_run(DEFINITIONS["module"], TrainingConfig()), DIGITS)


def test_one_that_is_fine_tuned_already_is_refused_since_nobody_knows_what_it_has_seen(run, mnist):
    trained(run, mnist)
    with pytest.raises(CannotFineTune, match=r"begin with the run that it was made of, Reference: nn\.Sequential"):
        create_fine_tuned_run(run, DIGITS)


def test_the_lessons_and_the_leader_board_leave_it_out(reference, mnist):
    run = create_fine_tuned_run(reference, DIGITS, made_by="Ada")
    with RunWriter.claim(run) as writer:
        writer.append_training(EpochEvent(1, run.total_steps, 0.1, 0.1, 0.99, 1.0, 20_000.0))
        writer.finished()
    assert leader_board([run]) == []
    assert tutorial_losses_of(run) == ()


def test_without_the_file_that_it_begins_with_or_with_another_it_does_not_train(run, reference, mnist):
    other = create_fine_tuned_run(reference, DIGITS[:10])
    run.start_path.write_bytes(other.start_path.read_bytes())
    with pytest.raises(DamagedRun, match=r"start\.safetensors cannot be read"):
        trained(run, mnist)
    run.start_path.unlink()
    with pytest.raises(DamagedRun, match=r"start\.safetensors is gone"):
        run.load_start()


def test_earlier_versions_are_told_that_they_cannot_read_it_and_read_all_others(run):
    plain = create_run(DEFINITIONS["module"], TrainingConfig())
    formats = [json.loads(each.manifest_path.read_text())["format"] for each in (plain, run)]
    assert formats == [2, 3]


def test_it_is_told_from_runs_of_the_same_recipe(run, reference):
    plain = create_run(DEFINITIONS["sequential"], run.config)
    assert labels_of([run])[0] == "Reference: nn.Sequential, fine-tuned"
    assert recipe_in_words(run)[0] == "fine-tuned from Reference: nn.Sequential with 12 own digits"
    others = create_fine_tuned_run(reference, DIGITS[:10])
    told = differing_settings([run, plain, others]).loc["begins with"]
    assert told.iloc[0].startswith("the weights of Reference: nn.Sequential and 12 own digits (")
    assert told.iloc[1] == "random weights"
    assert told.nunique() == 3
    assert experiment_of(run) != experiment_of(plain)
    assert not experiment_of(run).can_be_repeated


def test_two_that_began_differently_are_no_pair_of_the_two_definitions(mnist):
    runs = [create_fine_tuned_run(find_run(f"reference-{name}"), DIGITS) for name in ("sequential", "module")]
    for each in runs:
        trained(each, mnist)
    assert pair_to_compare(runs, set()) == []


def test_the_network_that_it_began_as_can_be_asked(run, reference, mnist):
    trained(run, mnist)
    began, now = (network_at(run, moment).module.state_dict() for moment in ("start", "newest"))
    assert all(torch.equal(tensor, began[name]) for name, tensor in reference.load_weights().items())
    assert not torch.equal(began["0.weight"], now["0.weight"])


def test_an_archive_takes_along_what_it_begins_with_and_goes_on_elsewhere(run, mnist):
    trained(run, mnist, until=12)
    imported = import_run(export_run(run, checkpoint=True))
    assert imported.load_start().own_digits == tuple(DIGITS)
    trained(imported, mnist)
    trained(run, mnist)
    assert losses_of(imported) == losses_of(run)


def test_an_archive_with_another_start_is_refused(run, reference, mnist):
    trained(run, mnist)
    files = files_of(export_run(run))
    other = create_fine_tuned_run(reference, DIGITS[:10])
    with pytest.raises(RefusedArchive, match=r"start\.safetensors is damaged"):
        import_run(zipped(files | {"start.safetensors": other.start_path.read_bytes()}))
    del files["start.safetensors"]
    with pytest.raises(RefusedArchive, match=r"start\.safetensors is damaged"):
        import_run(zipped(files))
