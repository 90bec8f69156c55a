import math
from itertools import zip_longest
from statistics import mean

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler, TPESampler
from optuna.trial import TrialState, create_trial

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.networks.shelf import delete_network, keep_network, kept_networks
from cnnlab.runs.log import Status
from cnnlab.runs.shelf import create_run
from cnnlab.runs.writer import RunWriter
from cnnlab.sweeps import search
from cnnlab.sweeps.plan import Between, InvalidSweep, Plan, Search
from cnnlab.sweeps.search import _study_of, advance_searches, proposal
from cnnlab.sweeps.sweep import Sweep, find_sweep
from cnnlab.training.events import EpochEvent
from cnnlab.training.recipe import TrainingConfig
from cnnlab.workers.scheduler import scheduler

RATES = {"epochs": 2, "threads": 1, "learning_rate": Between(1e-4, 1e-1, is_logarithmic=True)}


def tell(writer, *accuracies):
    """Write the epochs of a run, with their validation accuracies and a misleading test accuracy."""
    for epoch, accuracy in enumerate(accuracies, start=1):
        writer.append_training(EpochEvent(epoch, 391 * epoch, 0.5, 0.4, 1 - accuracy, 1.0, 50_000.0, 0.4, accuracy))


def finish_next_run(sweep, accuracy_of):
    """Have a search make a run, and finish it with the accuracy that a function gives its recipe."""
    advance_searches()
    run = find_sweep(sweep.id).runs()[-1]
    with RunWriter.claim(run) as writer:
        tell(writer, 0.5, accuracy_of(run.config))
        writer.finished()
    return run


def test_runs_come_one_after_another_keep_images_for_validation_and_end():
    sweep = Sweep.start(Plan(RATES, search=Search(3, at_once=1)))
    assert sweep.runs() == []
    runs = [finish_next_run(sweep, lambda config: 0.9) for _ in range(3)]
    advance_searches()
    found = find_sweep(sweep.id)
    assert found.run_ids == [run.id for run in runs]
    assert not found.is_searching
    assert all(1e-4 <= run.config.learning_rate <= 1e-1 for run in runs)
    assert {run.config.validation for run in runs} == {10_000}
    assert found.table()["validation_accuracy"].tolist() == [0.9, 0.9, 0.9]


def test_as_many_wait_or_train_as_is_asked_for():
    sweep = Sweep.start(Plan(RATES, search=Search(5, at_once=2)))
    for _ in range(4):
        advance_searches()
    assert [run.status for run in find_sweep(sweep.id).runs()] == [Status.QUEUED, Status.QUEUED]


def test_a_network_that_was_deleted_is_proposed_no_more():
    keep_network("Rows", "nn.Sequential(nn.Flatten(), nn.Linear(784, 10))")
    sweep = Sweep.start(Plan({"epochs": 2, "threads": 1, "model": ("module", "Rows")}, search=Search(2, at_once=2)))
    delete_network(*kept_networks())
    for _ in range(3):
        advance_searches()
    assert [run.model for run in find_sweep(sweep.id).runs()] == ["module"]
    finish_next_run(sweep, lambda config: 0.9)
    advance_searches()
    assert not find_sweep(sweep.id).is_searching


def decades_from_a_hundredth(config):
    return abs(math.log10(config.learning_rate) + 2)


@pytest.mark.slow
def test_proposals_draw_nearer_than_chance_to_what_did_best_on_the_images_for_validation():
    def mean_distance(sampler):
        sweep = Sweep.start(Plan(RATES, search=Search(30, at_once=1, sampler=sampler)))
        configs = [
            finish_next_run(sweep, lambda config: 1 - decades_from_a_hundredth(config) / 4).config for _ in range(30)
        ]
        assert len(set(configs)) == 30
        return mean(decades_from_a_hundredth(config) for config in configs[15:])

    assert mean_distance("tpe") < mean_distance("random") / 2


def test_the_same_search_of_the_same_results_proposes_the_same():
    sweeps = [Sweep.start(Plan(RATES, search=Search(3, at_once=1, sampler="random"))) for _ in range(2)]
    (_, first), (_, second) = (proposal(sweep) for sweep in sweeps)
    assert first == second
    (_, other) = proposal(Sweep.start(Plan(RATES, search=Search(3, sampler="random", seed=1))))
    assert other != first


def after_runs_that_ended(count):
    """Return a search of which so many runs have ended, and the run that it has made then."""
    sweep = Sweep.start(Plan(RATES, search=Search(9, at_once=1)))
    for _ in range(count):
        finish_next_run(sweep, lambda config: 0.95)
    advance_searches()
    return sweep, find_sweep(sweep.id).runs()[-1]


def test_a_run_below_the_median_of_five_is_stopped_and_not_resumed_with_the_others():
    sweep, late = after_runs_that_ended(5)
    with RunWriter.claim(late) as writer:
        writer.started(step=0)
        tell(writer, 0.6)
        advance_searches()
        assert not late.stop_requested  # the others were at 0.5 after their first epoch
        tell(writer, 0.6, 0.7)
        advance_searches()
        assert late.stop_requested
        advance_searches()  # while it still trains
        writer.stopped()
    found = find_sweep(sweep.id)
    assert found.pruned_ids == [late.id]
    assert found.table()["status"].tolist()[-1] == "pruned"
    found.end_search()
    found.resume()
    assert late.status is Status.STOPPED
    assert found.is_searching


def test_it_ends_when_all_that_can_be_tried_has_been():
    sweep = Sweep.start(Plan({"optimizer": ("sgd", "adam")}, search=Search(10, at_once=1)))
    for _ in range(2):
        finish_next_run(sweep, lambda config: 0.9)
    advance_searches()
    found = find_sweep(sweep.id)
    assert {run.config.optimizer for run in found.runs()} == {"sgd", "adam"}
    assert not found.is_searching


def test_settings_that_are_not_allowed_together_are_passed_over():
    settings = {"optimizer": ("sgd", "nesterov"), "momentum": (0.0, 0.5)}
    sweep = Sweep.start(Plan(settings, search=Search(10, at_once=1)))
    for _ in range(3):
        finish_next_run(sweep, lambda config: 0.9)
    advance_searches()
    found = find_sweep(sweep.id)
    assert {(run.config.optimizer, run.config.momentum) for run in found.runs()} == {
        ("sgd", 0.0),
        ("sgd", 0.5),
        ("nesterov", 0.5),
    }
    assert not found.is_searching


def test_what_is_proposed_stays_between_its_ends_when_it_is_rounded():
    assert Between(0.9, 0.9999).rounded(0.99987) == 0.9999
    assert Between(0.1244, 0.2).rounded(0.12441) == 0.1244
    assert Between(0.1, 0.2).rounded(0.12391) == 0.124


def test_a_search_that_fails_ends_and_the_others_go_on(monkeypatch, capsys):
    def failing_for_the_newest(sweep):
        if sweep.id == newest.id:
            raise ValueError("nobody thought of this")
        return proposal(sweep)

    older, newest = (Sweep.start(Plan(RATES, search=Search(3))) for _ in range(2))
    monkeypatch.setattr(search, "proposal", failing_for_the_newest)
    advance_searches()
    assert "nobody thought of this" in capsys.readouterr().err
    assert not find_sweep(newest.id).is_searching
    assert len(find_sweep(older.id).run_ids) == 1


def test_one_search_can_be_looked_after_alone():
    one, other = (Sweep.start(Plan(RATES, search=Search(3))) for _ in range(2))
    advance_searches(one.id)
    assert [len(find_sweep(sweep.id).run_ids) for sweep in (one, other)] == [1, 0]


def test_an_ended_search_makes_no_further_runs_until_it_is_resumed():
    sweep = Sweep.start(Plan(RATES, search=Search(3, at_once=1)))
    sweep.end_search()
    advance_searches()
    assert find_sweep(sweep.id).run_ids == []
    assert sweep.can_resume
    sweep.resume()
    advance_searches()
    assert len(find_sweep(sweep.id).run_ids) == 1


def test_resuming_an_ended_search_or_a_plain_sweep_starts_no_search():
    search_of_one = Sweep.start(Plan(RATES, search=Search(1)))
    finish_next_run(search_of_one, lambda config: 0.9)
    advance_searches()
    for sweep in (find_sweep(search_of_one.id), Sweep.start(Plan({"seed": (0, 1)}))):
        sweep.resume()
        assert not sweep.is_searching


def test_the_sampler_is_told_how_each_run_ended():
    sweep = Sweep.start(Plan(RATES, search=Search(5, at_once=5)))
    finish_next_run(sweep, lambda config: 0.8)
    for _ in range(3):
        advance_searches()
    _, training, failed, pruned = find_sweep(sweep.id).runs()
    endings = (
        (training, RunWriter.interrupted, "a reason"),
        (failed, RunWriter.failed, "a reason"),
        (pruned, RunWriter.stopped),
    )
    for run, end, *reason in endings:
        with RunWriter.claim(run) as writer:
            tell(writer, 0.5)
            end(writer, *reason)
    found = find_sweep(sweep.id)
    found.pruned_ids.append(pruned.id)
    study, _ = _study_of(found)
    assert [(trial.state.name, trial.value) for trial in study.trials] == [
        ("COMPLETE", 0.8),
        ("RUNNING", None),
        ("FAIL", None),
        ("PRUNED", None),
    ]


def test_nothing_is_added_to_a_search():
    sweep = Sweep.start(Plan(RATES, search=Search(3)))
    with pytest.raises(InvalidSweep, match="decides itself"):
        sweep.add(Plan({"seed": (1, 2)}))


@pytest.mark.slow
def test_the_scheduler_makes_and_trains_them(wait_for):
    settings = {**RATES, "epochs": 1, "batch_size": 512, "optimizer": "nesterov"}
    sweep = Sweep.start(Plan(settings, search=Search(3, at_once=2)))
    scheduler()
    wait_for(lambda: not find_sweep(sweep.id).is_searching, 120)
    table = find_sweep(sweep.id).table()
    assert table["status"].tolist() == [Status.FINISHED] * 3
    assert table["validation_accuracy"].notna().all()


@pytest.mark.parametrize("seed", [0, 5, 2**32 - 2])
def test_each_run_is_drawn_with_the_searchs_seed_and_the_number_of_runs_before_it(seed):
    sweep = Sweep.start(Plan(RATES, search=Search(4, at_once=4, sampler="random", seed=seed)))
    between = {"learning_rate": FloatDistribution(1e-4, 1e-1, log=True)}
    for before in range(3):
        advance_searches()
        asked = optuna.create_study(sampler=RandomSampler((seed + before) % 2**32)).ask(between)
        rates = [run.config.learning_rate for run in find_sweep(sweep.id).runs()]
        assert rates[before:] == [float(f"{asked.params['learning_rate']:.3g}")]


def searched(search, configs):
    """Return a search that has made these runs, all of which wait."""
    sweep = Sweep.start(Plan(RATES, search=search))
    with sweep.changing():
        sweep.run_ids += [create_run(DEFINITIONS["module"], config, sweep_id=sweep.id).id for config in configs]
    return sweep


def test_tpe_is_asked_with_all_that_is_known_and_keeps_off_what_is_being_tried():
    rates = [0.0002 * 1.6**place for place in range(12)]
    configs = [TrainingConfig(epochs=2, threads=1, learning_rate=rate, validation=10_000) for rate in rates]
    accuracies = [0.9 - 0.01 * abs(place - 8.2) for place in range(10)]
    sweep = searched(Search(20, at_once=4, seed=4), configs)
    for run, accuracy in zip(sweep.runs(), accuracies, strict=False):
        with RunWriter.claim(run) as writer:
            tell(writer, 0.6, accuracy)
            writer.finished()
    between = {"learning_rate": FloatDistribution(1e-4, 1e-1, log=True)}

    def asked(constant_liar):
        study = optuna.create_study(direction="maximize", sampler=TPESampler(seed=16, constant_liar=constant_liar))
        for rate, accuracy in zip_longest(rates, accuracies):
            state = TrialState.COMPLETE if accuracy else TrialState.RUNNING
            params = {"learning_rate": rate}
            study.add_trial(create_trial(params=params, distributions=between, value=accuracy, state=state))
        return float(f"{study.ask(between).params['learning_rate']:.3g}")

    assert proposal(sweep)[1].learning_rate == asked(True) != asked(False)


def test_whole_numbers_powers_and_choices_are_asked_for_as_such_and_what_is_shared_is_not():
    settings = {
        "model": ("module", "sequential"),
        "epochs": Between(2, 30, is_logarithmic=True),
        "batch_size": Between(32, 256),
        "learning_rate": Between(1e-4, 1e-1, is_logarithmic=True),
        "momentum": Between(0.1, 0.2),
        "optimizer": ("nesterov",),
        "shift": 1,
    }
    sweep = Sweep.start(Plan(settings, search=Search(3, sampler="random", seed=4)))
    asked = optuna.create_study(sampler=RandomSampler(4)).ask(
        {
            "model": CategoricalDistribution(("module", "sequential")),
            "epochs": IntDistribution(2, 30, log=True),
            "batch_size": IntDistribution(32, 256),
            "learning_rate": FloatDistribution(1e-4, 1e-1, log=True),
            "momentum": FloatDistribution(0.1, 0.2),
        }
    )
    definition, config = proposal(sweep)
    wanted = {name: float(f"{asked.params[name]:.3g}") for name in ("learning_rate", "momentum")}
    assert definition.name == asked.params["model"]
    assert config == TrainingConfig(
        epochs=asked.params["epochs"],
        batch_size=asked.params["batch_size"],
        optimizer="nesterov",
        shift=1,
        validation=10_000,
        **wanted,
    )


def test_the_pruner_is_told_the_accuracy_after_each_epoch_and_the_sampler_the_last():
    sweep = Sweep.start(Plan(RATES, search=Search(5, at_once=5)))
    for _ in range(2):
        advance_searches()
    finished, unmeasured = find_sweep(sweep.id).runs()
    with RunWriter.claim(finished) as writer:
        tell(writer, 0.9, 0.7)
        writer.finished()
    with RunWriter.claim(unmeasured) as writer:
        writer.append_training(EpochEvent(1, 391, 0.5, 0.4, 0.9, 1.0, 50_000.0))
        writer.finished()
    study, trials = _study_of(find_sweep(sweep.id))
    assert [trial.intermediate_values for trial in study.trials] == [{1: 0.9, 2: 0.7}, {}]
    assert [(trial.state.name, trial.value) for trial in study.trials] == [("COMPLETE", 0.7), ("RUNNING", None)]
    assert [trial.number for trial in trials.values()] == [0, 1]
    assert list(trials) == [finished.id, unmeasured.id]


def test_a_damaged_run_is_left_out_of_what_is_known():
    sweep = Sweep.start(Plan(RATES, search=Search(5, at_once=5)))
    for _ in range(3):
        advance_searches()
    first, damaged, last = find_sweep(sweep.id).runs()
    damaged.log_path.write_bytes(b'{"event": "epoch"}\n' + damaged.log_path.read_bytes())
    _, trials = _study_of(find_sweep(sweep.id))
    assert list(trials) == [first.id, last.id]


def test_four_runs_that_ended_stop_no_other():
    _, late = after_runs_that_ended(4)
    with RunWriter.claim(late) as writer:
        writer.started(step=0)
        tell(writer, 0.1, 0.2)
        advance_searches()
        assert not late.stop_requested
        writer.stopped()


def test_a_search_keeps_no_snapshots_and_waits_for_its_last_runs():
    sweep = Sweep.start(Plan(RATES, search=Search(2, at_once=2)))
    for _ in range(3):
        advance_searches()
    found = find_sweep(sweep.id)
    assert (len(found.run_ids), found.is_searching, found.can_resume) == (2, True, False)
    assert [run.snapshots for run in found.runs()] == [0, 0]
    for run in found.runs():
        advance_searches()
        assert find_sweep(sweep.id).is_searching
        with RunWriter.claim(run) as writer:
            tell(writer, 0.5, 0.6)
            writer.finished()
    advance_searches()
    assert not find_sweep(sweep.id).is_searching


def test_a_search_counts_what_it_will_have_made_and_when_ended_what_it_has():
    sweep = Sweep.start(Plan(RATES, search=Search(4, at_once=2)))
    advance_searches()
    found = find_sweep(sweep.id)
    assert (len(found.run_ids), found.count) == (1, 4)
    found.end_search()
    assert (found.count, found.can_resume) == (1, True)
    assert Sweep.start(Plan({"epochs": 1, "seed": (0, 1)})).count == 2


def test_a_search_that_has_made_all_its_runs_can_go_on_only_where_one_of_them_can():
    sweep = Sweep.start(Plan(RATES, search=Search(1, at_once=1)))
    advance_searches()
    (run,) = find_sweep(sweep.id).runs()
    with RunWriter.claim(run) as writer:
        tell(writer, 0.5)
        writer.stopped()
    advance_searches()
    found = find_sweep(sweep.id)
    assert (found.is_searching, found.can_resume) == (False, True)
    with found.changing():
        found.pruned_ids.append(run.id)
    assert not found.can_resume
    assert (found.resume(), found.is_searching) == (0, False)
