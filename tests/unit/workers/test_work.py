"""A hand on the learning rate, from the wish to the log and back."""

from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

from cnnlab.cli.main import main
from cnnlab.comparison.experiments import by_experiment, differing_settings, experiment_of
from cnnlab.comparison.labels import labels_of, recipe_in_words
from cnnlab.inference.networks import newest_network_of
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.networks.shelf import all_networks, delete_network, keep_network, kept_networks
from cnnlab.runs.folder import DamagedRun
from cnnlab.runs.log import Status
from cnnlab.runs.queue import NotTraining, wish_learning_rate
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import create_run
from cnnlab.runs.transfer.archive import export_run, import_run
from cnnlab.runs.writer import RunWriter
from cnnlab.storage.checksums import origin_of
from cnnlab.training.events import BatchEvent
from cnnlab.training.optimizers import MOST_CHANGES
from cnnlab.training.recipe import InvalidConfig, TrainingConfig
from cnnlab.training.script import training_script
from cnnlab.workers.work import work

CONFIG = TrainingConfig(epochs=3, threads=1, device="cpu")  # of eight batches


@pytest.fixture
def run() -> Run:
    made = create_run(DEFINITIONS["module"], CONFIG)
    with RunWriter.claim(made) as writer:
        writer.queued(1)
    return made


def trained(run, mnist, *, wishes=(), until=None):
    """Train a run, with a wish after each of some steps, up to a step or to its end; return the batches' events."""
    events, wishes = [], dict(wishes)
    with RunWriter.claim(run) as writer:
        for event in work(run, writer, mnist=mnist):
            if isinstance(event, BatchEvent):
                events.append(event)
                if event.step in wishes:
                    wish_learning_rate(run, wishes[event.step])
                if event.step == until:
                    break
    return events


def losses_of(run):
    return run.history().batches["loss"].tolist()


@pytest.mark.slow
def test_a_wish_holds_from_a_step_that_the_log_names(run, mnist):
    plain = create_run(DEFINITIONS["module"], CONFIG)
    trained(plain, mnist)
    trained(run, mnist, wishes={5: 0.01})
    ((step, rate),) = run.learning_rates.items()
    assert (step, rate) == (6, 0.01)
    assert run.status is Status.FINISHED
    assert losses_of(run)[:6] == losses_of(plain)[:6]  # the loss of a step is the one before it
    assert losses_of(run)[6] != losses_of(plain)[6]
    assert "learning rate 0.01 from step 6" in recipe_in_words(run)
    assert differing_settings([run, plain]).loc["changes of the learning rate"].tolist() == ["0.01 from step 6", "none"]
    assert len(by_experiment([run, plain])) == 2
    assert not experiment_of(run).can_be_repeated
    assert experiment_of(plain).can_be_repeated
    assert "lr 0.01 from step 6" in labels_of([run, plain])[0]


@pytest.mark.slow
def test_a_run_cut_off_after_a_wish_repeats_it_to_the_bit(run, mnist):
    uncut = create_run(DEFINITIONS["module"], CONFIG)
    with RunWriter.claim(uncut) as writer:
        writer.queued(2)
    trained(uncut, mnist, wishes={11: 0.02, 19: 0.001})
    trained(
        run, mnist, wishes={11: 0.02}, until=15
    )  # the last checkpoint is that of the first epoch, or not much later
    trained(run, mnist, wishes={19: 0.001})
    assert run.learning_rates == uncut.learning_rates == {12: 0.02, 20: 0.001}
    assert losses_of(run) == losses_of(uncut)


def test_an_archive_takes_the_learning_rates_along(run, mnist):
    trained(run, mnist, wishes={5: 0.01}, until=12)
    imported = import_run(export_run(run))
    assert imported.learning_rates == {6: 0.01}
    assert losses_of(imported) == losses_of(run)


@pytest.mark.parametrize("rate", [0, -1, float("nan"), 2000])
def test_a_rate_that_no_recipe_may_have_is_refused(run, rate):
    with pytest.raises(InvalidConfig, match="allowed is a number above 0"):
        wish_learning_rate(run, rate)
    assert run.wished_learning_rate is None


def test_a_run_that_nobody_trains_takes_no_wish(run, mnist):
    for _ in ("waiting", "finished"):
        with pytest.raises(NotTraining, match="does not train now: a learning rate can be set while it does"):
            wish_learning_rate(run, 0.01)
        trained(run, mnist)


def test_the_runs_of_a_sweep_and_of_other_machines_keep_their_recipes(run, mnist, monkeypatch):
    monkeypatch.setattr(Run, "takes_wishes", False)
    with RunWriter.claim(run) as writer:
        events = work(run, writer, mnist=mnist)
        next(events)
        with pytest.raises(NotTraining, match="stays as it is: a sweep keeps its recipes"):
            wish_learning_rate(run, 0.01)


def test_with_a_schedule_it_is_the_highest_rate_that_was_changed_and_many_changes_are_counted(run, monkeypatch):
    monkeypatch.setattr(Run, "learning_rates", dict.fromkeys(range(5, 45), 0.01))
    assert recipe_in_words(run)[-1] == "learning rate changed 40 times"
    monkeypatch.setattr(Run, "learning_rates", {5: 0.01})
    run.config = replace(run.config, schedule="one-cycle")
    assert recipe_in_words(run)[-1] == "highest learning rate 0.01 from step 5"


@pytest.mark.parametrize("written", ["", "fast", "-1", "nan", "\0", "1e999"])
def test_a_wish_that_is_none_is_left_alone(run, mnist, written):
    run.learning_rate_path.write_text(written)
    trained(run, mnist)
    assert run.status is Status.FINISHED
    assert run.learning_rates == {}


@pytest.mark.parametrize("told", [{"step": 3}, {"step": 0, "learning_rate": 1}, {"step": 3, "learning_rate": -1}])
def test_a_log_whose_learning_rate_is_none_is_damaged(run, told):
    with RunWriter.claim(run) as writer:
        writer.append("learning rate", **told)
    with pytest.raises(DamagedRun):
        run.history()


def test_a_log_with_more_changes_than_anybody_makes_is_refused_at_once(run):
    with RunWriter.claim(run) as writer:
        for step in range(1, MOST_CHANGES + 2):
            writer.learning_rate_set(step=step, learning_rate=0.01)
    with pytest.raises(DamagedRun):
        run.history()


def test_the_command_line_asks_for_it_and_refuses_what_is_none(run, mnist):
    def told(*arguments):
        result = CliRunner().invoke(main, ["set", *arguments])
        return result.exit_code, result.output

    with RunWriter.claim(run) as writer:
        events = work(run, writer, mnist=mnist)
        next(events)
        code, output = told(run.id, "learning_rate=0.02")
        assert (code, "learning rate 0.02 from its next step on" in output) == (0, True)
        assert run.wished_learning_rate == 0.02
        for arguments in ([run.id, "learning_rate=much"], [run.id, "momentum=0.5"], ["nobody", "learning_rate=1"]):
            code, output = told(*arguments)
            assert code == 2
            assert "Traceback" not in output
        code, output = told(run.id, "learning_rate=-1")
        assert (code, "allowed is a number above 0" in output) == (2, True)
        assert run.wished_learning_rate == 0.02
        events.close()


def test_a_run_goes_on_when_its_network_is_deleted_and_takes_it_along(mnist):
    run = create_run(keep_network("Rows", "nn.Sequential(nn.Flatten(), nn.Linear(784, 10))"), CONFIG)
    trained(run, mnist, until=9)
    delete_network(*kept_networks())
    assert "Rows" not in all_networks()
    logits = newest_network_of(run).module(mnist.test_images[:2])
    imported = import_run(export_run(run))
    assert torch.equal(newest_network_of(imported).module(mnist.test_images[:2]), logits)
    assert "nn.Flatten()" in training_script(run.source, run.config)
    trained(run, mnist)
    assert run.status is Status.FINISHED


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_run_that_is_cut_off_keeps_the_weights_of_its_last_step(is_closed, run, mnist):
    cut_off = []
    with RunWriter.claim(run) as writer:
        for event in work(run, writer, is_abandoned=lambda: is_closed and bool(cut_off), mnist=mnist):
            if event.step == 11:
                cut_off.append(event)
                if not is_closed:
                    run.request_stop()
    assert run.status is (Status.INTERRUPTED if is_closed else Status.STOPPED)
    assert origin_of(run.read_weights()) == {"run": run.identity, "step": "11"}
    assert run.load_checkpoint()["position"]["step"] == run.history().step == 11
