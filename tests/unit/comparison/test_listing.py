import pytest

from cnnlab.comparison.listing import Order, SweepRow, in_order, labels_in_list, matching_runs, rows_of
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import all_runs, create_run, delete_run, find_run, reference_runs
from cnnlab.runs.writer import RunWriter
from cnnlab.sweeps.plan import Plan
from cnnlab.sweeps.sweep import Sweep, all_sweeps
from cnnlab.training.events import EpochEvent
from cnnlab.training.recipe import TrainingConfig


def end(run, accuracy):
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        writer.append_training(EpochEvent(1, run.steps_per_epoch, 0.2, 0.2, accuracy, 3.0, 20_000.0))
        writer.finished()
    return run


def ended(name, accuracy):
    return end(create_run(DEFINITIONS["module"], TrainingConfig(epochs=1), name), accuracy)


@pytest.fixture
def swept():
    """Return a sweep of three, between an older and a newer run."""
    ended("b, the older", 0.96)
    sweep = Sweep.start(Plan({"epochs": 1, "seed": (0, 1, 2)}), "Over seeds")
    for run, accuracy in zip(sweep.runs(), (0.95, 0.983, 0.1), strict=True):
        end(run, accuracy)
    ended("A, the newer", 0.97)
    return sweep


def shown(order, runs=None):
    rows = in_order(rows_of(all_runs() if runs is None else runs, all_sweeps()), order)
    return [row.in_words() if isinstance(row, SweepRow) else row.name for row in rows]


FOLDED = "Over seeds · 3 runs · best 98.30 % · 1 collapsed"


@pytest.mark.parametrize(
    ("order", "names"),
    [
        (Order.AGE, ["A, the newer", FOLDED, "b, the older"]),
        (Order.ACCURACY, [FOLDED, "A, the newer", "b, the older"]),
        (Order.NAME, ["A, the newer", "b, the older", FOLDED]),
    ],
)
def test_a_sweep_stands_in_one_row_by_its_newest_and_its_best_run_and_its_name(order, names, swept):
    assert shown(order) == names


@pytest.mark.parametrize("order", Order)
def test_a_run_with_a_star_comes_first_in_any_order_and_out_of_its_sweep(order, swept):
    swept.runs()[0].star(True)
    assert shown(order)[0] == swept.runs()[0].name
    assert shown(order).count(FOLDED) == 1


def test_one_run_of_a_sweep_alone_and_those_of_a_forgotten_sweep_are_not_folded(swept):
    (first, second, third) = swept.runs()
    assert shown(Order.AGE, [first]) == [first.name]
    delete_run(second), delete_run(third)
    assert first.name in shown(Order.AGE)
    assert rows_of([first, *reference_runs()], []) == [first, *reference_runs()]


def test_a_sweep_of_which_no_run_has_a_result_has_no_best_and_comes_last():
    run = ended("Collapsed", 0.1)
    sweep = Sweep.start(Plan({"seed": (0, 1)}), "Waits")
    assert shown(Order.ACCURACY) == ["Collapsed", "Waits · 2 runs"]
    assert [row.is_active for row in rows_of(all_runs(), [sweep]) if isinstance(row, SweepRow)] == [True]
    assert rows_of([run], [sweep]) == [run]


def test_a_run_whose_log_is_damaged_is_listed_last_of_the_best(swept):
    damaged = ended("Damaged", 0.99)
    damaged.log_path.write_bytes(b'{"event": "epoch"}\n' + damaged.log_path.read_bytes())
    assert shown(Order.ACCURACY)[-1] == "Damaged"


@pytest.mark.parametrize(
    "search",
    [
        "0.003 seed 1",
        "lr 0.003 seed 1",
        "Learning rate 0.003  seed 1",
        "sequential 0.003 seed 1 1 epoch",
        "of the forty",
    ],
)
def test_among_forty_runs_the_one_that_is_searched_for_is_found_alone(search):
    rates = (0.0003, 0.001, 0.003, 0.0031)
    sweep = Sweep.start(Plan({"epochs": 1, "learning_rate": rates, "seed": tuple(range(10))}))
    (wanted,) = (run for run in sweep.runs() if (run.config.learning_rate, run.config.seed) == (0.003, 1))
    wanted.take_note("the best of the forty")
    assert matching_runs(all_runs(), search) == [wanted]


def test_words_are_found_in_parts_and_nothing_finds_all():
    mine, other = ended("Mine", 0.97), ended("Other", 0.1)
    assert matching_runs([other, mine], " ") == [other, mine]
    assert matching_runs([other, mine], "min") == [mine]
    assert matching_runs([other, mine], "collapsed module") == [other]
    assert matching_runs([other, mine], mine.id) == [mine]
    assert matching_runs([other, mine], "[(") == []


@pytest.mark.parametrize(
    "search", ["lr 0.001", "batch 128", "learning rate 0.001", "rocks momentum", "momentum rocks", "60000", "2"]
)
def test_settings_are_found_by_short_names_and_words_in_any_order(search):
    run = ended("Momentum rocks", 0.97)
    run.take_note("on 60,000 images")
    assert matching_runs([run], search) == [run]
    assert matching_runs([run], f"{search} nowhere") == []


def test_a_run_that_is_deleted_meanwhile_leaves_the_others_their_row(swept):
    runs = all_runs()
    delete_run(runs[0])
    assert labels_in_list(runs) == [run.id for run in runs]
    assert len(shown(Order.NAME, runs[1:])) == 2


def test_a_damaged_run_of_a_sweep_is_neither_collapsed_nor_at_work(swept):
    best = max(swept.runs(), key=lambda run: run.last_epoch().test_accuracy)
    best.log_path.write_bytes(b'{"event": "epoch"}\n' + best.log_path.read_bytes())
    (row,) = [row for row in rows_of(all_runs(), all_sweeps()) if isinstance(row, SweepRow)]
    assert row.in_words() == "Over seeds · 3 runs · best 95.00 % · 1 collapsed"
    assert not row.is_active


def test_a_run_without_a_result_is_worth_as_little_as_one_whose_log_is_damaged():
    """Of equals the newest stays first, so that neither kind is moved behind the other."""
    waits = create_run(DEFINITIONS["module"], TrainingConfig(), "waits")
    damaged = ended("damaged", 0.99)
    damaged.log_path.write_bytes(b'{"event": "epoch"}\n' + damaged.log_path.read_bytes())
    none_right = ended("none right", 0.0)
    for runs in ([waits, damaged, none_right], [damaged, waits, none_right]):
        assert in_order(runs, Order.ACCURACY) == [none_right, *runs[:2]]
    sweep = Sweep.start(Plan({"epochs": 1, "seed": (0, 1)}), "Two")
    assert SweepRow(sweep, tuple(sweep.runs())).accuracy == -1
    end(sweep.runs()[0], 0.0)
    row = SweepRow(sweep, tuple(sweep.runs()))
    assert row.accuracy == 0
    assert row.in_words() == "Two · 2 runs · best 0.00 % · 1 collapsed"


def test_the_runs_of_a_row_come_with_the_newest_first_wherever_they_stood():
    sweep = Sweep.start(Plan({"epochs": 1, "seed": (0, 1, 2)}), "Three")
    first, second, third = sweep.runs()
    alone = ended("Alone", 0.9)
    (one, row) = rows_of([alone, second, first, third], [sweep])
    assert (one, row.runs) == (alone, (third, second, first))
    (row, one) = rows_of([second, alone, first], [sweep])
    assert (one, row.runs) == (alone, (second, first))
    assert rows_of([second, alone], [sweep]) == [second, alone]


def test_two_runs_that_collapsed_or_work_are_counted_in_their_row():
    sweep = Sweep.start(Plan({"epochs": 1, "seed": (0, 1)}), "Two")
    first, second = sweep.runs()
    row = SweepRow(sweep, (second, first))
    assert row.is_active
    end(first, 0.1)
    assert row.is_active
    end(second, 0.1)
    assert not row.is_active
    assert row.in_words() == "Two · 2 runs · best 10.00 % · 2 collapsed"


@pytest.mark.parametrize(
    ("search", "is_found"),
    [
        ("10 epochs", True),
        ("0 epochs", False),
        ("1 epoch", False),
        ("batch size 1", False),
        ("batch 128", True),
        ("batch 12", False),
        ("learning rate 0.001", True),
        ("learning rate 0.00", False),
        ("001", False),
        ("0.001", True),
        ("BATCH  SIZE 128", True),
        ("60000 images", True),
        ("60,000", True),
        ("000", False),
        ("orks", True),
        ("finished", True),
        ("works 10 epochs 128", True),
        ("works 10 epochs 129", False),
    ],
)
def test_a_number_is_found_as_a_whole_and_a_word_in_part(search, is_found):
    made = create_run(DEFINITIONS["module"], TrainingConfig(), "It works")
    made.folder.rename(made.folder.with_name("20261130-105701-777"))  # else it may have been made in millisecond 001
    run = find_run("20261130-105701-777")
    run.take_note("of 60,000 images")
    end(run, 0.97)
    assert (matching_runs([run], search) == [run]) == is_found


def test_a_run_is_found_by_the_beginning_of_its_identifier():
    run = ended("Mine", 0.97)
    assert matching_runs([run], run.id[:8]) == [run]
    assert matching_runs([run], f"{run.id[:12]} mine") == [run]
    assert matching_runs([run], f"9{run.id}") == []


def test_a_row_of_which_a_run_was_deleted_just_now_is_not_at_work():
    sweep = Sweep.start(Plan({"epochs": 1, "seed": (0, 1)}), "Two")
    row = SweepRow(sweep, tuple(sweep.runs()))
    for run in sweep.runs():
        delete_run(run)
    assert (row.is_active, row.accuracy, row.in_words()) == (False, -1, "Two · 2 runs")
