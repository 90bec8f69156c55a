"""Reads a lesson from its file: Markdown with a few lines in front, and a heading for each step.

    ---
    title: One step
    about: What one step of training does.
    minutes: 6
    ---

    ## Predict: The first loss
    page: step
    measured: first_loss

    What is the loss of a network that knows nothing?

    > It came to {first_loss}; you said {predicted}.

A step is one of `Kind`: its heading names it, then come lines of settings, then the text. ``- [ ]`` and ``- [x]`` are
answers to choose from, the second the right one. What stands behind ``>`` is shown afterwards. A name in braces is a
figure of `cnnlab.lessons.figures`, or ``predicted``: what the learner said last.
"""

import re

from cnnlab.lessons.checks import PAGES, Check, check_written, setting_written
from cnnlab.lessons.figures import FIGURES
from cnnlab.lessons.lesson import MOST_WORDS, Choice, Kind, Lesson, Step, UnreadableLesson
from cnnlab.training.recipe import SETTINGS
from cnnlab.training.setting_kinds import Number, Whole

_MOST_BYTES = 100_000
_HEADING = re.compile(r"## (?P<kind>[A-Z][a-z]+)(?:: (?P<title>.+))?")
_SETTING = re.compile(r"(?P<name>[a-z]+): *(?P<value>.*)")
_CHOICE = re.compile(r"- \[(?P<mark>[ x])\] (?P<text>.+)")
_FIGURE = re.compile(r"\{(?P<name>[^{}]*)\}")
_SETTINGS = ("page", "check", "measured", "fill")
PREDICTED = "predicted"


def read_lesson(name: str, text: str) -> Lesson:
    """Return the lesson that a file holds.

    Parameters
    ----------
    name
        The file's, without its ending.

    Raises
    ------
    UnreadableLesson
        With the line of the first mistake.
    """
    return _Reader(name, text).lesson()


class _Reader:
    def __init__(self, name: str, text: str) -> None:
        self._name, self._lines = name, text.splitlines()
        if len(text.encode()) > _MOST_BYTES:
            raise self._mistake(1, f"a lesson has at most {_MOST_BYTES / 1000:.0f} kB.")

    def lesson(self) -> Lesson:
        front, begin = self._front()
        steps = []
        number = begin
        while number < len(self._lines):
            if not self._lines[number].strip():
                number += 1
                continue
            end = next(
                (later for later in range(number + 1, len(self._lines)) if self._lines[later].startswith("## ")),
                len(self._lines),
            )
            steps.append(self._step(number, end))
            number = end
        if not steps:
            raise self._mistake(begin + 1, "a lesson has at least one step, under a heading such as ## Read.")
        return Lesson(self._name, front["title"], front["about"], int(front["minutes"]), tuple(steps))

    def _front(self) -> tuple[dict[str, str], int]:
        """Return what stands in front of the steps, and the index of the first line behind it."""
        if not self._lines or self._lines[0].strip() != "---":
            raise self._mistake(1, "a lesson begins with ---, then title:, about: and minutes:, then --- again.")
        front: dict[str, str] = {}
        for number, line in enumerate(self._lines[1:], start=1):
            if line.strip() == "---":
                if missing := [name for name in ("title", "about", "minutes") if not front.get(name)]:
                    raise self._mistake(number + 1, f"{missing[0]}: is missing above this line.")
                return front, number + 1
            setting = _SETTING.fullmatch(line.strip())
            if not setting or setting["name"] not in ("title", "about", "minutes"):
                raise self._mistake(number + 1, f"{line.strip()[:40]!r} is none of title:, about: and minutes:.")
            if setting["name"] == "minutes" and not (setting["value"].isdecimal() and 0 < int(setting["value"]) < 100):
                raise self._mistake(
                    number + 1, f"minutes is {setting['value']!r}; allowed is a whole number below 100."
                )
            front[setting["name"]] = setting["value"]
        raise self._mistake(len(self._lines), "the --- that ends the lines in front is missing.")

    def _step(self, begin: int, end: int) -> Step:
        heading = _HEADING.fullmatch(self._lines[begin].strip())
        if not heading or heading["kind"] not in set(Kind):
            kinds = ", ".join(f"## {kind}" for kind in Kind)
            raise self._mistake(begin + 1, f"a step begins with one of {kinds}, perhaps with a colon and a title.")
        kind = Kind(heading["kind"])
        settings, number = self._settings(begin + 1, end)
        text, after, choices = self._body(number, end)
        step = Step(
            kind,
            heading["title"] or "",
            text,
            after,
            choices,
            page=self._known(settings, "page", PAGES),
            check=self._check(settings),
            measured=self._known(settings, "measured", tuple(FIGURES)),
            fill=self._fill(settings),
        )
        self._require_sense(step, begin)
        return step

    def _settings(self, begin: int, end: int) -> tuple[dict[str, tuple[int, str]], int]:
        """Return the settings below a heading with their lines, and the index of the first line behind them."""
        settings: dict[str, tuple[int, str]] = {}
        for number in range(begin, end):
            setting = _SETTING.fullmatch(self._lines[number].strip())
            if not setting:
                return settings, number
            if setting["name"] not in _SETTINGS:
                raise self._mistake(number + 1, f"{setting['name']!r} is no setting of a step: {', '.join(_SETTINGS)}.")
            settings[setting["name"]] = (number + 1, setting["value"])
        return settings, end

    def _body(self, begin: int, end: int) -> tuple[str, str, tuple[Choice, ...]]:
        text, after, choices = [], [], []
        for number in range(begin, end):
            line = self._lines[number]
            self._require_known_figures(line, number + 1)
            if choice := _CHOICE.fullmatch(line.strip()):
                choices.append(Choice(choice["text"], choice["mark"] == "x"))
            elif line.startswith(">"):
                after.append(line.removeprefix(">").removeprefix(" "))
            else:
                text.append(line)
        return "\n".join(text).strip(), "\n".join(after).strip(), tuple(choices)

    def _require_known_figures(self, line: str, number: int) -> None:
        for figure in _FIGURE.finditer(line):
            if figure["name"] not in (*FIGURES, PREDICTED):
                known = ", ".join((*FIGURES, PREDICTED))
                raise self._mistake(number, f"{{{figure['name']}}} is no figure that the lab measures: {known}.")

    def _known(self, settings: dict[str, tuple[int, str]], name: str, known: tuple[str, ...]) -> str:
        number, value = settings.get(name, (0, ""))
        if value and value not in known:
            raise self._mistake(number, f"{name} is {value!r}; allowed is one of {', '.join(known)}.")
        return value

    def _check(self, settings: dict[str, tuple[int, str]]) -> Check | None:
        number, value = settings.get("check", (0, ""))
        if not number:
            return None
        try:
            return check_written(value)
        except ValueError as error:
            raise self._mistake(number, str(error)) from error

    def _fill(self, settings: dict[str, tuple[int, str]]) -> tuple[tuple[str, str], ...]:
        """Return what the form on Sweep is filled with: settings, each with its values in one line."""
        number, value = settings.get("fill", (0, ""))
        fill = []
        for word in value.split():
            name, _, values = word.partition("=")
            try:
                for each in values.split(","):
                    setting_written(f"{name}={each}")
                if not isinstance(SETTINGS[name], Number | Whole) or (name == "epochs" and "," in values):
                    raise ValueError(f"{word!r} cannot be filled in: settings have numbers, and epochs one.")
            except ValueError as error:
                raise self._mistake(number, str(error)) from error
            fill.append((name, ", ".join(values.split(","))))
        return tuple(fill)

    def _require_sense(self, step: Step, begin: int) -> None:
        """Check that a step has what its kind needs."""
        right = sum(choice.is_right for choice in step.choices)
        mistake = None
        match step.kind:
            case _ if not step.text:
                mistake = "a step has a text."
            case Kind.READ if len(step.text.split()) > MOST_WORDS:
                mistake = f"a text to read has at most {MOST_WORDS} words; this one has {len(step.text.split())}."
            case Kind.PREDICT if not (step.choices or step.measured):
                mistake = "a prediction has answers to choose from (- [ ]), or a figure that is measured."
            case Kind.DO if step.check is None:
                mistake = "what is done has a check:, by which the lab sees it."
            case _ if step.fill and step.page != "sweep":
                mistake = "fill: is for a step on the page sweep."
            case Kind.EXPLAIN if not step.after:
                mistake = "an explanation of one's own is followed by the lab's, behind >."
            case Kind.ASK if len(step.choices) < 2 or right != 1 or not step.after:
                mistake = "a question has two answers or more, one of them right (- [x]), and says why behind >."
            case Kind.READ | Kind.DO | Kind.EXPLAIN if step.choices:
                mistake = "only a prediction and a question have answers to choose from."
        if mistake:
            raise self._mistake(begin + 1, mistake)

    def _mistake(self, line: int, mistake: str) -> UnreadableLesson:
        return UnreadableLesson(f"{self._name}.md", line, mistake)


def filled(text: str, figures: dict[str, str]) -> str:
    """Return a text with its figures in their places."""
    return _FIGURE.sub(lambda found: figures.get(found["name"], found[0]), text)


def figures_in(text: str) -> set[str]:
    """Return the names of the figures that a text has."""
    return {found["name"] for found in _FIGURE.finditer(text)}
