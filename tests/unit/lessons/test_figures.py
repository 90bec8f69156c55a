import pytest

from cnnlab.inference.networks import newest_network_of
from cnnlab.inference.test_set import images_of
from cnnlab.lessons.checks import Situation
from cnnlab.lessons.figures import FIGURES, NOT_YET, figure_in_words
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.models.sources import read_definition
from cnnlab.runs.shelf import create_run, find_run
from cnnlab.runs.writer import RunWriter
from cnnlab.training.evaluation import predict_logits
from cnnlab.training.events import BatchEvent, EpochEvent
from cnnlab.training.recipe import TrainingConfig
from cnnlab.wording import percent


def a_run(definition=DEFINITIONS["sequential"], *, losses=(2.3, 0.2, 0.1), accuracy=0.9, pen=None, **recipe):
    """Make a run of an epoch for each loss behind the first, which is its first batch's."""
    first, *epochs = losses
    run = create_run(definition, TrainingConfig(epochs=len(epochs), threads=1, **recipe))
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        writer.append_training(BatchEvent(1, 1, first, 0.1))
        for number, loss in enumerate(epochs, start=1):
            writer.append_training(
                EpochEvent(number, 469 * number, loss, loss * 2, accuracy, 1.0, 60_000.0, pen_accuracy=pen)
            )
        writer.finished()
    return run


def told(name, *runs):
    return figure_in_words(name, Situation(runs=tuple(reversed(runs))))


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_told_before_it_is_measured(name):
    assert told(name) == NOT_YET


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("first_loss", "2.3000"),
        ("first_epoch_loss", "0.2000"),
        ("last_epoch_loss", "0.1000"),
        ("test_loss", "0.2000"),
        ("test_accuracy", "90.00 %"),
        ("pen_accuracy", "80.00 %"),
        ("numbers", "29,322"),
    ],
)
def test_figures_are_those_of_the_newest_run(name, expected):
    older = a_run(losses=(2.4, 0.5, 0.4), accuracy=0.5, pen=0.3)
    assert told(name, older, a_run(pen=0.8)).replace("\u00a0", " ") == expected


def test_the_best_rate_is_that_of_the_lowest_last_loss_among_runs_that_differ_in_nothing_else():
    runs = [a_run(learning_rate=rate, losses=(2.3, loss)) for rate, loss in ((0.1, 9.0), (0.01, 0.3), (0.001, 0.2))]
    other = a_run(learning_rate=0.5, losses=(2.3, 0.01), seed=7)
    assert told("best_rate", runs[0]) == NOT_YET
    assert told("best_rate", other, *runs) == "0.001"


def test_seeds_lie_as_far_apart_as_their_last_losses():
    runs = [a_run(seed=seed, losses=(2.3, loss)) for seed, loss in ((0, 0.05), (1, 0.04), (2, 0.045))]
    assert told("seeds_apart", a_run(losses=(2.3, 1.0, 1.0)), *runs) == "0.0100"
    assert told("seeds_apart", runs[0]) == NOT_YET


def test_the_two_definitions_are_compared_where_their_recipes_are_one():
    list_, class_ = (a_run(DEFINITIONS[name], seed=3) for name in ("sequential", "module"))
    assert told("definitions_apart", list_, class_) == "0"
    assert told("definitions_apart", list_, a_run(DEFINITIONS["module"], seed=4)) == NOT_YET
    assert told("definitions_apart", list_, a_run(DEFINITIONS["module"], seed=3, losses=(2.8, 0.2, 0.1))) == "0.5"


def test_right_at_70_counts_the_answers_to_peoples_digits_that_are_given_with_60_to_80_percent():
    run = find_run("reference-sequential")
    images, labels = images_of("pen")
    stated, answers = predict_logits(newest_network_of(run).module, images).softmax(dim=1).max(dim=1)
    near = (stated >= 0.6) & (stated < 0.8)
    share = float((answers[near] == labels[near]).double().mean())
    assert told("right_at_70", run) == percent(share)


def test_the_fewest_numbers_are_of_runs_with_98_percent():
    small = read_definition("Small", "nn.Sequential(nn.Flatten(), nn.Linear(784, 10))")
    assert told("fewest_numbers", a_run(accuracy=0.98), a_run(small, accuracy=0.97)) == "29,322"
    assert told("fewest_numbers", a_run(accuracy=0.98), a_run(small, accuracy=0.985)) == "7,850"
