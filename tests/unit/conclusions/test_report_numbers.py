"""Reads each number of a report out of its HTML; the runs have logs and answers that are made up."""

import re
from html import unescape

import numpy as np
import pytest
from truth import counted, wilson

from cnnlab.charts.palette import RUN_COLORS, TUTORIAL_COLOR
from cnnlab.conclusions.people import People
from cnnlab.conclusions.report import comparison_report, run_report
from cnnlab.fine_tuning.start import FineTuning
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.queue import enqueue
from cnnlab.runs.shelf import create_run
from cnnlab.runs.writer import RunWriter
from cnnlab.training.events import EpochEvent
from cnnlab.training.recipe import TrainingConfig

DIGITS = np.arange(1_000) % 10


def made(model="module", name=None, start=None, **recipe):
    config = TrainingConfig(**{"epochs": 1, "threads": 1, "kernels": "torch", **recipe})
    return create_run(DEFINITIONS[model], config, name, start=start)


def ended(model="module", *, losses=(0.25,), accuracy=0.97, pen=0.94, failed="", **recipe):
    run = made(model, **{"epochs": len(losses), **recipe})
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu", kernels="torch")
        for epoch, loss in enumerate(losses, start=1):
            step = epoch * run.steps_per_epoch
            event = EpochEvent(epoch, step, loss, loss / 2, accuracy, 3.0, 20_000.0, pen_accuracy=pen)
            writer.append_training(event)
        writer.failed(failed) if failed else writer.finished()
    return run


def wrong(*places, digits=DIGITS):
    """Return answers that are one too high in these places."""
    answers = digits.copy()
    answers[list(places)] = (answers[list(places)] + 1) % 10
    return answers


def report(runs, *answers, people=None):
    """Return the report on some runs, the first of which have these answers."""
    return comparison_report(runs, {run.id: each for run, each in zip(runs, answers, strict=False)}, DIGITS, people)


def plain(html):
    return unescape(re.sub(r"<[^>]+>", "", html))


def section(document, title):
    return document.partition(f"<h2>{title}</h2>")[2].partition("<h2>")[0]


def rows(html):
    """Return the texts in the cells of each row."""
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr[^>]*>(.*?)</tr>", html)]
    return [[plain(cell) for cell in row] for row in cells]


def verdict(document):
    """Return the lines of the box at the top; None if there is no box."""
    found = re.search(r'<div class="verdict">(.*?)</div>', document)
    return found and found[1].split("<br>")


def between(low, high):
    return f"{100 * low:.2f} % to {100 * high:.2f} %"


def test_a_comparison_is_called_by_how_many_runs_it_has_and_one_run_by_its_label():
    runs = [ended(name="A & B"), ended(seed=1)]
    together = report(runs)
    assert "<h1>Comparison of 2 runs</h1>" in together
    assert "<title>Comparison of 2 runs · CNN Lab</title>" in together
    alone = run_report(runs[0], None, DIGITS)
    assert re.search("<h1>A &amp; B · Module · 1 epoch</h1>", alone)
    assert "<title>A &amp; B · Module · 1 epoch · CNN Lab</title>" in alone


def test_the_parts_of_a_report_come_in_their_order_and_those_without_content_not_at_all():
    runs = [ended(), ended(seed=1)]
    headings = ["Train loss", "Results", "Recipes", "Confusion on the test images", "Sources"]
    assert re.findall("<h2>(.*?)</h2>", report(runs, DIGITS, DIGITS)) == headings
    assert re.findall("<h2>(.*?)</h2>", run_report(made(), None, DIGITS)) == ["Results", "Recipe", "Sources"]


def test_the_table_of_results_has_the_last_epoch_and_what_wilson_makes_of_its_accuracies():
    runs = [ended(losses=(0.5, 0.12345), accuracy=0.9844, pen=0.9528, epochs=2), ended(pen=None), made(seed=7)]
    enqueue(runs[2])
    head, first, second, third = rows(section(report(runs), "Results"))
    interval = "95 % interval (Wilson)"
    assert head[:5] == ["Run", "Status", "Train loss", "Test loss", "Test accuracy"]
    assert head[5:] == [interval, "Drawn by people", interval]
    assert first[:5] == ["Module · 2 epochs", "finished", "0.1235", "0.0617", "98.44 %"]
    assert first[5:] == [between(*wilson(9_844, 10_000)), "95.28 %", between(*wilson(round(0.9528 * 2_575), 2_575))]
    assert second[:5] == ["Module · 1 epoch · seed 0", "finished", "0.2500", "0.1250", "97.00 %"]
    assert second[5:] == [between(*wilson(9_700, 10_000)), "–", "–"]
    assert third == ["Module · 1 epoch · seed 7", "queued", *["–"] * 6]


def test_a_report_on_two_runs_that_differ_in_their_seed_tells_them_by_it():
    first, second = ended(), ended(seed=1)
    assert verdict(report([first, second], wrong(1, 2, 3), wrong(4)))[0] == (
        "Only the seed differs: <b>Module · 1 epoch · seed 0</b> is right on 1 of MNIST&#x27;s test images that "
        "<b>Module · 1 epoch · seed 1</b> misses, <b>Module · 1 epoch · seed 1</b> on 3 that "
        "<b>Module · 1 epoch · seed 0</b> misses: no more than chance would explain, p = 0.62."
    )


def test_a_report_on_several_seeds_calls_them_by_what_they_share():
    runs = [ended(seed=seed, accuracy=0.97 + seed / 100) for seed in range(3)]
    (sentence, *_) = verdict(report(runs, *[wrong(seed) for seed in range(3)]))
    assert sentence.startswith("Only the seed differs: <b>Module · 1 epoch · seeds 0 to 2</b> reads 98.00 % ")


def test_what_people_drew_comes_second_what_ended_badly_then_and_advice_last_and_faint():
    runs = [ended(), ended(learning_rate=0.01, failed="No <room>.")]
    drawn = np.zeros(100, int)
    answers = {runs[0].id: drawn, runs[1].id: wrong(*range(30), digits=drawn)}
    first, second, third, fourth = verdict(
        report(runs, DIGITS, wrong(*range(20)), people=People(answers, drawn, {run.id: "" for run in runs}))
    )
    assert first.startswith("Only the learning rate differs: <b>Module · 1 epoch</b> is right on 20 of ")
    assert second.startswith("On digits drawn by people <b>Module · 1 epoch</b> is right on 100.00 % ")
    assert third == "<b>Module · lr 0.01 · 1 epoch</b> failed. No &lt;room&gt;."
    assert re.fullmatch(
        r'<span class="faint">One training of each says nothing of the learning rate: .*</span>', fourth
    )


def test_where_chance_has_no_part_there_is_no_advice_and_without_people_no_word_of_them():
    assert verdict(report([ended("sequential"), ended("module")], DIGITS, DIGITS)) == [
        "Only the definition differs: <b>Sequential · 1 epoch</b> and <b>Module · 1 epoch</b> give the same answer to "
        "every test image: they are one network."
    ]


def test_one_run_that_went_well_has_no_verdict_nor_have_two_of_which_one_has_answers():
    runs = [ended(), ended(seed=1)]
    assert verdict(run_report(runs[0], DIGITS, DIGITS)) is None
    assert verdict(report(runs, DIGITS)) is None


def test_a_run_that_collapsed_or_failed_is_told_of_alone_and_beside_others():
    collapsed = ended(losses=(2.3, 2.3), accuracy=0.1028, epochs=2)
    told = (
        "<b>Module · 2 epochs</b>: Collapsed from the first epoch on: its loss stayed near that of guessing, ln 10 = "
        "2.30 (10.28 % of the test images are right, as if it guessed). Try another learning rate, ten times smaller "
        "or larger, or another seed."
    )
    assert verdict(run_report(collapsed, wrong(*range(900)), DIGITS)) == [told]
    assert rows(section(run_report(collapsed, None, DIGITS), "Results"))[1][1] == "collapsed"
    assert verdict(report([ended(), collapsed])) == [told]
    assert verdict(run_report(ended(failed="Full."), None, DIGITS)) == ["<b>Module · 1 epoch</b> failed. Full."]


def test_of_three_runs_those_with_answers_are_compared():
    runs = [ended(), ended(seed=1), made(seed=2)]
    (sentence, _) = verdict(report(runs, wrong(1), wrong(2)))
    assert "<b>Module · 1 epoch · seed 0</b> is right on 1 " in sentence
    assert "seed 2" not in sentence


def test_a_curve_has_the_loss_of_each_epoch_in_the_colour_of_its_key():
    runs = [made(), ended(losses=(0.5, 0.25, 0.125)), ended("sequential", losses=(0.75, 0.0))]
    curves = section(report(runs), "Train loss")
    circles = re.findall(r'cx="(.*?)" cy=".*?" r="3" fill="(.*?)"><title>(.*?)</title>', curves)
    ends = [float(place) for place, *_ in circles]
    assert [(color, told) for _, color, told in circles] == [
        (RUN_COLORS[1], "Module · 3 epochs: 0.5000"),
        (RUN_COLORS[1], "Module · 3 epochs: 0.2500"),
        (RUN_COLORS[1], "Module · 3 epochs: 0.1250"),
        (RUN_COLORS[2], "Sequential · 2 epochs: 0.7500"),
        (RUN_COLORS[2], "Sequential · 2 epochs: 0.0000"),
    ]
    steps = np.diff(ends[:3])
    assert steps[0] == pytest.approx(steps[1], abs=0.11)
    assert ends[3:] == ends[:2]
    assert re.findall(r'background:(.*?)"></span>([^<]*)', curves) == [
        (RUN_COLORS[1], "Module · 3 epochs"),
        (RUN_COLORS[2], "Sequential · 2 epochs"),
    ]
    assert "over epoch of" in curves
    assert "train loss</text>" in curves


def test_the_tutorials_losses_are_dotted_as_far_as_the_longest_run_is_to_go():
    curves = section(report([ended(epochs=4), ended("sequential", losses=(0.5, 0.25), epochs=2)]), "Train loss")
    lines = re.findall(r'<polyline points="(.*?)"[^>]* stroke="(.*?)" stroke-width="2"(.*?)><title>(.*?)<', curves)
    assert [(len(points.split()), color, bool(dots), name) for points, color, dots, name in lines] == [
        (1, RUN_COLORS[0], False, "Module · 4 epochs"),
        (2, RUN_COLORS[1], False, "Sequential · 2 epochs"),
        (4, TUTORIAL_COLOR, True, "tutorial, Sequential"),
        (4, TUTORIAL_COLOR, True, "tutorial, Module"),
    ]
    first_of_tutorial, first_of_run = (lines[place][0].split()[0].split(",")[0] for place in (2, 0))
    assert first_of_tutorial == first_of_run  # both after their first epoch


def test_an_eleventh_run_has_the_colour_of_the_first():
    keys = re.findall(r'class="key" style="background:(.*?)"', report([ended(seed=seed) for seed in range(11)]))
    assert keys == [*RUN_COLORS, RUN_COLORS[0]]


def differing(document):
    return {row[0] for row in rows("".join(re.findall(r"<tr class=differs>.*?</tr>", document)))}


def test_the_settings_in_which_recipes_differ_are_bold_and_no_others():
    runs = [ended("sequential", learning_rate=0.003), ended("module", batch_size=64)]
    assert differing(report(runs)) == {"Definition", "Learning rate", "Batch size"}
    assert differing(report([runs[0], made("sequential", learning_rate=0.003)])) == set()
    assert differing(run_report(runs[0], None, DIGITS)) == set()


def test_each_setting_of_a_recipe_is_told_as_it_was_set():
    runs = [made("sequential", learning_rate=0.003, shift=2, seed=5), made(optimizer="adamw", augment=True)]
    head, *table = rows(section(report(runs), "Recipes"))
    assert head[1:] == [
        "Sequential · lr 0.003 · 1 epoch · shift 2 pixels · seed 5",
        "Module · AdamW · 1 epoch · augmentation",
    ]
    told = {name: values for name, *values in table}
    assert len(table) == 16  # the definition, and a row for each field of a recipe
    names = ["Definition", "Learning rate", "Batch size", "Shift (pixels)", "Seed", "Threads", "Backend", "Optimizer"]
    assert {name: told[name] for name in names} == {
        "Definition": ["nn.Sequential", "nn.Module"],
        "Learning rate": ["0.003", "0.001"],
        "Batch size": ["128", "128"],
        "Shift (pixels)": ["2 pixels", "0 pixels"],
        "Seed": ["5", "0"],
        "Threads": ["1 thread", "1 thread"],
        "Backend": ["torch", "torch"],
        "Optimizer": ["rmsprop", "adamw"],
    }


def test_what_a_run_begins_with_is_told_where_one_of_them_is_fine_tuned():
    tuned = made(start=(FineTuning.of("run", "Before", 12, b"start"), b"start"))
    told = {name: values for name, *values in rows(section(report([tuned, made()]), "Recipes"))}
    assert told["Begins with"] == [tuned.fine_tuning.told_apart, "random weights"]
    assert "Begins with" in differing(report([tuned, made()]))
    assert "Begins with" not in report([made(), made(seed=1)])


def matrices(document):
    """Return of each matrix who it is of, its numbers, and how strong their colours are."""
    found = re.findall(r'<p><b>([^<]*)</b></p><table class="matrix">(.*?)</table>', document)
    return [
        (
            unescape(names),
            rows(table),
            np.array([float(each) for each in re.findall(r"var\(--cell\),(.*?)\)", table)]).reshape(10, 10),
        )
        for names, table in found
    ]


def test_a_matrix_counts_each_digit_and_answer_and_is_colored_by_its_errors():
    answers = DIGITS.copy()
    answers[:400] = np.random.default_rng(0).integers(0, 10, 400)
    ((names, (head, *table), colors),) = matrices(run_report(ended(), answers, DIGITS))
    expected = np.array(counted(DIGITS, answers))
    assert names == "Module · 1 epoch"
    assert head == ["", *map(str, range(10))]
    assert table == [[str(digit), *(str(count or "") for count in row)] for digit, row in enumerate(expected)]
    errors = expected * (1 - np.eye(10))
    assert colors == pytest.approx(0.7 * errors / errors.max(), abs=0.0051)


def test_a_single_error_has_the_strongest_colour_and_no_error_none():
    ((_, _, colors),) = matrices(run_report(ended(), wrong(34), DIGITS))
    assert colors.sum() == colors[4, 5] == 0.7
    ((_, _, colors),) = matrices(run_report(ended(), DIGITS, DIGITS))
    assert not colors.any()


def test_runs_with_one_matrix_are_named_together_and_those_without_answers_not_at_all():
    runs = [ended(), ended(seed=1), ended(seed=2), ended(seed=3)]
    document = report(runs, wrong(1), wrong(2), wrong(11))
    names = [name for name, *_ in matrices(document)]
    assert names == ["Module · 1 epoch · seed 0 and Module · 1 epoch · seed 2", "Module · 1 epoch · seed 1"]
    assert document.count("Each row is a digit, each column an answer;") == 1
    assert "Each row is a digit" not in report(runs)


def test_each_source_is_shown_once_for_all_runs_that_have_it():
    runs = [ended("sequential"), ended("module"), ended("module", seed=1)]
    found = re.findall(r"<p><b>([^<]*)</b></p><pre>(.*?)</pre>", section(report(runs), "Sources"), re.DOTALL)
    assert [(unescape(names), unescape(source)) for names, source in found] == [
        ("Sequential · 1 epoch", DEFINITIONS["sequential"].source),
        ("Module · 1 epoch · seed 0, Module · 1 epoch · seed 1", DEFINITIONS["module"].source),
    ]
