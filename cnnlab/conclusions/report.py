"""Reports to send: one run, or a comparison, as one HTML file that opens without the lab, a network or a script.

All that comes from a run, such as its name and its source, is escaped, and the file forbids itself all but its own
style.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import Any

import numpy as np

from cnnlab.charts.palette import RUN_COLORS, SMALLEST_LOSS, TUTORIAL_COLOR
from cnnlab.charts.svg import Line, line_chart
from cnnlab.comparison.curves import Axis, tutorial_curves
from cnnlab.comparison.experiments import BEGINS_WITH, begins_with, folded_labels_of, name_of
from cnnlab.comparison.labels import labels_of
from cnnlab.comparison.outcomes import collapse_of
from cnnlab.comparison.results import results
from cnnlab.conclusions.people import People, on_people
from cnnlab.conclusions.verdicts import conclusion
from cnnlab.inference.confusion import confusion_matrix
from cnnlab.runs.log import Status
from cnnlab.runs.run import Run
from cnnlab.training.recipe import SETTINGS
from cnnlab.wording import percent, percent_range

_STYLE = """
:root { color-scheme: light dark; --text: #1c2333; --faint: #667085; --line: #d5d9e2; --page: #fff;
  --cell: 79,116,238; }
@media (prefers-color-scheme: dark) { :root { --text: #e8eaf0; --faint: #a0a8b8; --line: #3a4152; --page: #11151f; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
table { border-collapse: collapse; font-size: .9rem; } .wide { overflow-x: auto; }
th, td { border: 1px solid var(--line); padding: .25rem .5rem; text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; } .differs { font-weight: 700; }
.matrix td { text-align: center; min-width: 1.6rem; padding: .15rem; }
svg { width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: var(--faint); }
svg .grid { stroke: var(--line); }
.key { display: inline-block; width: 1.2rem; height: .25rem; margin: 0 .4rem .2rem 1rem; }
pre { overflow-x: auto; border: 1px solid var(--line); padding: .75rem; font-size: .85rem; }
.verdict { border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem; } .faint { color: var(--faint); }
"""


def run_report(run: Run, answers: np.ndarray | None, digits: np.ndarray) -> str:
    """Return the report on one run; parameters are those of `comparison_report`."""
    return comparison_report([run], {run.id: answers} if answers is not None else {}, digits)


def comparison_report(
    runs: Sequence[Run], answers: Mapping[str, np.ndarray], digits: np.ndarray, people: People | None = None
) -> str:
    """Return the report on some runs.

    Parameters
    ----------
    runs
        At least one.
    answers
        By a run's identifier its answers to the test images, shape (N,); those that have none yet are left out.
    digits
        What the test images show, shape (N,).
    people
        What the same runs answer to the digits that people drew; None to leave these out.

    Returns
    -------
    str
        A whole HTML document.
    """
    labels = labels_of(runs)
    title = labels[0] if len(runs) == 1 else f"Comparison of {len(runs)} runs"
    sections = [
        f"<h1>{escape(title)}</h1>",
        _verdict(runs, labels, answers, digits, people),
        _section("Train loss", _curves(runs, labels)),
        _section("Results", _results(runs, labels)),
        _section("Recipes" if len(runs) > 1 else "Recipe", _recipes(runs, labels)),
        _section("Confusion on the test images", _confusion(runs, labels, answers, digits)),
        _section("Sources", _sources(runs, labels)),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} · CNN Lab</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(filter(None, sections))
        + '\n<p class="faint">Made by CNN Lab, which trained and tested these networks on MNIST.</p></body></html>\n'
    )


def _section(title: str, body: str) -> str:
    return f"<h2>{title}</h2>\n{body}" if body else ""


def _verdict(
    runs: Sequence[Run],
    labels: Sequence[str],
    answers: Mapping[str, np.ndarray],
    digits: np.ndarray,
    people: People | None,
) -> str:
    told = [_ended_badly(run, label) for run, label in zip(runs, labels, strict=True)]
    answering = [run for run in runs if run.id in answers]
    if len(answering) > 1:
        called = labels_of(answering) if len(answering) == 2 else folded_labels_of(answering)
        # The names come in when the rest is escaped: a private sign stands for each until then.
        marks = {run.id: chr(0xE000 + called.index(label)) for run, label in zip(answering, called, strict=True)}

        def with_names(sentence: str) -> str:
            sentence = escape(sentence)
            for place, label in enumerate(called):
                sentence = sentence.replace(chr(0xE000 + place), f"<b>{escape(label)}</b>")
            return sentence

        found = conclusion(answering, answers, digits, marks)
        told.insert(0, with_names(found.sentence))
        if people:
            told.insert(1, with_names(on_people(answering, people, marks, answers, digits)))
        if found.advice:
            told.append(f'<span class="faint">{escape(found.advice)}</span>')
    return f'<div class="verdict">{"<br>".join(filter(None, told))}</div>' if any(told) else ""


def _ended_badly(run: Run, label: str) -> str:
    if run.status is Status.FAILED:
        return f"<b>{escape(label)}</b> failed. {escape(run.history().reason or '')}"
    if collapse := collapse_of(run):
        return f"<b>{escape(label)}</b>: {escape(collapse.sentence())}"
    return ""


def _curves(runs: Sequence[Run], labels: Sequence[str]) -> str:
    lines = [
        Line(
            label,
            RUN_COLORS[place % len(RUN_COLORS)],
            [(float(epoch.epoch), max(epoch.train_loss, SMALLEST_LOSS)) for epoch in run.epochs()],
        )
        for place, (run, label) in enumerate(zip(runs, labels, strict=True))
    ]
    end = max(run.config.epochs for run in runs)
    for name, points in tutorial_curves(end, Axis.EPOCH, 1).groupby("label", sort=False):
        lines.append(Line(str(name), TUTORIAL_COLOR, list(zip(points["x"], points["value"], strict=True)), True))
    if not any(line.points for line in lines[: len(runs)]):
        return ""
    keys = "".join(
        f'<span class="key" style="background:{line.color}"></span>{escape(line.name)}'
        for line in lines[: len(runs)]
        if line.points
    )
    dotted = '<span class="faint"> · dotted: what the tutorial prints for its two networks</span>'
    return f"{line_chart(lines, x_title='epoch', y_title='train loss')}<p>{keys}{dotted}</p>"


def _results(runs: Sequence[Run], labels: Sequence[str]) -> str:
    rows = []
    for label, row in zip(labels, results(runs).to_dict("records"), strict=True):
        has_epoch = row["train_loss"] == row["train_loss"]
        numbers = ["–"] * 6
        if has_epoch:
            numbers = [
                f"{row['train_loss']:.4f}",
                f"{row['test_loss']:.4f}",
                percent(row["test_accuracy"]),
                percent_range(row["accuracy_low"], row["accuracy_high"]),
                *_on_people(row),
            ]
        cells = "".join(f'<td class="number">{number}</td>' for number in numbers)
        rows.append(f"<tr><td>{escape(label)}</td><td>{escape(row['status'])}</td>{cells}</tr>")
    interval = "95 % interval (Wilson)"
    heads = _heads("Run", "Status", "Train loss", "Test loss", "Test accuracy", interval, "Drawn by people", interval)
    return f'<div class="wide"><table>{heads}{"".join(rows)}</table></div>'


def _on_people(row: Mapping[Hashable, Any]) -> list[str]:
    if math.isnan(row["pen_accuracy"]):
        return ["–", "–"]
    return [percent(row["pen_accuracy"]), percent_range(row["pen_low"], row["pen_high"])]


def _heads(*names: str) -> str:
    return f"<tr>{''.join(f'<th>{escape(name)}</th>' for name in names)}</tr>"


def _recipes(runs: Sequence[Run], labels: Sequence[str]) -> str:
    configs = [asdict(run.config) for run in runs]
    settings = {"Definition": [run.title for run in runs]}
    settings |= {
        setting.label: [setting.written(config[name]) for config in configs] for name, setting in SETTINGS.items()
    }
    if any(run.fine_tuning for run in runs):
        settings[name_of(BEGINS_WITH)] = [begins_with(run) for run in runs]
    rows = "".join(
        f"<tr{' class=differs' if len(set(values)) > 1 else ''}><td>{escape(name)}</td>"
        f"{''.join(f'<td>{escape(value)}</td>' for value in values)}</tr>"
        for name, values in settings.items()
    )
    return f'<div class="wide"><table>{_heads("", *labels)}{rows}</table></div>'


def _confusion(
    runs: Sequence[Run], labels: Sequence[str], answers: Mapping[str, np.ndarray], digits: np.ndarray
) -> str:
    """Return a matrix for each run that has answers; one for all runs that have the same."""
    matrices: dict[bytes, tuple[np.ndarray, list[str]]] = {}
    for run, label in zip(runs, labels, strict=True):
        if run.id in answers:
            matrix = confusion_matrix(digits, answers[run.id])
            matrices.setdefault(matrix.tobytes(), (matrix, []))[1].append(label)
    tables = [f"<p><b>{escape(' and '.join(names))}</b></p>{_matrix(matrix)}" for matrix, names in matrices.values()]
    told = '<p class="faint">Each row is a digit, each column an answer; the number says how many test images.</p>'
    return "".join(tables) + told if tables else ""


def _matrix(matrix: np.ndarray) -> str:
    errors = matrix - np.diag(np.diag(matrix))
    highest = max(1, int(errors.max()))
    rows = []
    for digit, row in enumerate(matrix):
        cells = "".join(
            f'<td style="background:rgba(var(--cell),{errors[digit, answer] / highest * 0.7:.2f})">{count or ""}</td>'
            for answer, count in enumerate(row)
        )
        rows.append(f"<tr><th>{digit}</th>{cells}</tr>")
    return f'<table class="matrix">{_heads("", *map(str, range(len(matrix))))}{"".join(rows)}</table>'


def _sources(runs: Sequence[Run], labels: Sequence[str]) -> str:
    sources: dict[str, list[str]] = {}
    for run, label in zip(runs, labels, strict=True):
        sources.setdefault(run.source, []).append(label)
    return "".join(
        f"<p><b>{escape(', '.join(names))}</b></p><pre>{escape(source)}</pre>" for source, names in sources.items()
    )
