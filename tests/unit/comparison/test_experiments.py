from dataclasses import replace

from cnnlab.comparison.experiments import differing_settings, experiment_of, name_of
from cnnlab.comparison.results import results
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run, reference_runs
from cnnlab.runs.writer import RunWriter
from cnnlab.training.recipe import SETTINGS, TrainingConfig


def test_a_setting_is_called_what_its_field_is_called():
    assert name_of("learning_rate") == SETTINGS["learning_rate"].label
    assert name_of("definition") == "Definition"
    assert name_of("backend used") == "Backend used"


def run_with(kernels, used=None):
    """Return a run that has begun with a backend, or waits."""
    run = create_run(DEFINITIONS["module"], TrainingConfig(kernels=kernels))
    if used:
        with RunWriter.claim(run) as writer:
            writer.started(step=0, device="cpu", kernels=used)
    return run


def test_the_backend_used_is_told_where_the_recipes_leave_it_open_and_all_have_begun():
    auto, other, waiting = run_with("auto", "fused"), run_with("auto", "torch"), run_with("auto")
    assert differing_settings([auto, other]).T.to_dict("list") == {"backend used": ["fused", "torch"]}
    assert differing_settings([auto, waiting]).empty
    assert differing_settings([auto, other, waiting]).empty
    asked = run_with("torch", "torch")
    assert differing_settings([auto, asked]).T.to_dict("list") == {"kernels": ["auto", "torch"]}


def test_an_experiment_can_be_repeated_as_long_as_its_source_is_the_definitions_or_can_be_read():
    experiment = experiment_of(create_run(DEFINITIONS["module"], TrainingConfig()))
    assert experiment.can_be_repeated
    assert not replace(experiment, source="class Net: ...").can_be_repeated
    assert replace(experiment, model="gone").can_be_repeated  # its source is enough


def test_a_reference_runs_row_is_what_its_log_says():
    run = reference_runs()[0]
    epochs, row = run.epochs(), results([run]).loc[0]
    printed = DEFINITIONS[run.model].tutorial_losses
    assert len(epochs) <= len(printed)
    assert row["beside_tutorial"] == epochs[-1].train_loss - printed[len(epochs) - 1]
    assert row["best_test_loss"] == min(epoch.test_loss for epoch in epochs)
    assert epochs[int(row["best_epoch"]) - 1].test_loss == row["best_test_loss"]
    assert row["progress"] == 1
    in_order = sorted(epoch.seconds for epoch in epochs)
    middle = (in_order[(len(in_order) - 1) // 2] + in_order[len(in_order) // 2]) / 2
    assert row["seconds_per_epoch"] == middle
