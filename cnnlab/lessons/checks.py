"""How the lab sees that a step of a lesson was done."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace

from cnnlab.drawing.my_digits import MyDigit
from cnnlab.drawing.preparation import prepare
from cnnlab.drawing.strokes import CANVAS_SIDE, Stroke, ink_of
from cnnlab.errors import LabError
from cnnlab.inference.answers import answers_of
from cnnlab.models.reading.network import CannotRead
from cnnlab.models.reading.source import read
from cnnlab.models.reading.understanding import Understood, understand
from cnnlab.models.writing import CannotBeSequential, as_sequential
from cnnlab.runs.log import Status
from cnnlab.runs.run import Run
from cnnlab.training.recipe import SETTINGS
from cnnlab.training.setting_kinds import Choice, Number, Switch, Whole


@dataclass(frozen=True)
class Situation:
    """What a learner has done since he began a lesson.

    Attributes
    ----------
    runs
        Those that were made since, the newest first.
    strokes, strokes_before
        Those on the canvas, and those that were there when the step was turned to.
    is_on_picture, has_new_picture
        Whether the strokes lie on a picture, and whether it was put there since the step was turned to.
    moved
        By how many pixels the drawing is moved off the centre, at most, if that was done since the step was turned to.
    kept
        The drawings that the learner has said the meaning of since the step was turned to.
    answering
        The runs whose networks answer on Draw.
    source
        What stands in the editor of Write; empty if nobody was there.
    first_source
        What stood there when the lesson began.
    step
        The step that Step shows, from 1; 0 if nobody was there.
    pages
        Those that were opened since the step was.
    inspected
        What Inspect shows, if it stands beside the lesson and shows one of `runs`: words of `INSPECTED`.
    """

    runs: tuple[Run, ...] = ()
    strokes: tuple[Stroke, ...] = ()
    strokes_before: tuple[Stroke, ...] = ()
    is_on_picture: bool = False
    has_new_picture: bool = False
    moved: int = 0
    kept: tuple[MyDigit, ...] = ()
    answering: tuple[Run, ...] = ()
    source: str = ""
    first_source: str = ""
    step: int = 0
    pages: frozenset[str] = frozenset()
    inspected: frozenset[str] | None = None

    @property
    def finished_runs(self) -> list[Run]:
        """The runs that trained to their end, the newest first."""
        return [run for run in self.runs if run.status is Status.FINISHED]

    def for_training(self, check: "Check") -> "Situation":
        """Return the same with those runs alone that a check `trained` counts."""
        return replace(self, runs=tuple(run for run in self.runs if _has_settings(run, check)))

    @property
    def new_strokes(self) -> list[Stroke]:
        """The strokes drawn since the step was turned to."""
        return [stroke for stroke in self.strokes if stroke not in self.strokes_before]

    @property
    def new_ink(self) -> list[Stroke]:
        """Those of them that are not the eraser's."""
        return [stroke for stroke in self.new_strokes if not stroke.erases]


@dataclass(frozen=True)
class Check:
    """A condition with a name, as it stands in a lesson's file.

    Attributes
    ----------
    name
        One of `CHECKS`.
    settings
        Of a run's recipe: what they must be.
    count
        How many there must be, or which step.
    word
        The setting or the page that it is about.
    shown
        What Inspect must show, by words of `INSPECTED`.
    drawing
        What the strokes must be, by `_DRAWINGS`, with a number of pixels behind each; 0 where it needs none.
    """

    name: str
    settings: tuple[tuple[str, object], ...] = ()
    count: int = 1
    word: str = ""
    shown: tuple[str, ...] = ()
    drawing: tuple[tuple[str, int], ...] = ()

    def is_met(self, situation: Situation) -> bool:
        """Return whether it is so."""
        return CHECKS[self.name].is_met(self, situation)


@dataclass(frozen=True)
class CheckKind:
    """A kind of check.

    Attributes
    ----------
    is_met
        Whether it is so.
    usage
        How it is written in a lesson's file.
    takes
        What may follow its name: "settings", "count", "setting", "page", "shown", "drawing".
    asks_networks
        Whether it computes with PyTorch.
    """

    is_met: Callable[[Check, Situation], bool]
    usage: str
    takes: tuple[str, ...] = field(default=())
    asks_networks: bool = False


def check_written(text: str) -> Check:
    """Return the check that a line of a lesson's file names.

    Raises
    ------
    ValueError
        If there is none such, in a sentence.
    """
    name, *words = text.split()
    if name not in CHECKS:
        raise ValueError(f"there is no check {name!r}; there are {', '.join(CHECKS)}.")
    kind = CHECKS[name]
    settings: list[tuple[str, object]] = []
    drawing: list[tuple[str, int]] = []
    shown: list[str] = []
    count, about = 1, ""
    for word in words:
        if "settings" in kind.takes and "=" in word:
            settings.append(setting_written(word))
        elif "drawing" in kind.takes and (wanted := re.fullmatch(_DRAWING, word)):
            drawing.append((wanted["word"] or word, int(wanted["pixels"] or 0)))
        elif "count" in kind.takes and word.isdecimal():
            count = int(word)
        elif "shown" in kind.takes and word in INSPECTED:
            shown.append(word)
        elif ("setting" in kind.takes and word in SETTINGS) or ("page" in kind.takes and word in PAGES):
            about = word
        else:
            raise ValueError(f"{word!r} cannot stand behind the check {name}; it is written {kind.usage!r}.")
    if ("setting" in kind.takes or "page" in kind.takes) and not about:
        raise ValueError(f"the check {name} is written {kind.usage!r}.")
    return Check(name, tuple(settings), count, about, tuple(shown), tuple(drawing))


def setting_written(word: str) -> tuple[str, object]:
    """Return the setting of a recipe, and its value, that a word such as "epochs=2" names.

    Raises
    ------
    ValueError
        If there is none such, in a sentence.
    """
    name, _, value = word.partition("=")
    if name not in SETTINGS:
        raise ValueError(f"{name!r} is no setting of a recipe.")
    setting = SETTINGS[name]
    try:
        match setting:
            case Whole():
                found: object = int(value)
            case Number():
                found = float(value)
            case Switch():
                found = {"on": True, "off": False}[value]
            case Choice():
                found = value
            case _:
                raise ValueError
        if not setting.allows(found):
            raise ValueError
    except (ValueError, KeyError) as error:
        raise ValueError(f"{name} is {value!r}; allowed is {setting.allowed}.") from error
    return name, found


def _has_settings(run: Run, check: Check) -> bool:
    recipe = asdict(run.config)
    return all(recipe[name] == value for name, value in check.settings)


def _trained(check: Check, situation: Situation) -> bool:
    return sum(_has_settings(run, check) for run in situation.finished_runs) >= check.count


def _compared(check: Check, situation: Situation) -> bool:
    """Return whether finished runs have so many values of a setting, and whatever else they like."""
    return len({getattr(run.config, check.word) for run in situation.finished_runs}) >= check.count


def _both(check: Check, situation: Situation) -> bool:
    """Return whether both definitions have been trained with one recipe."""
    trained = {(run.model, run.config) for run in situation.finished_runs}
    return any(("sequential", config) in trained for name, config in trained if name == "module")


def _rate_changed(check: Check, situation: Situation) -> bool:
    return any(run.learning_rates for run in situation.runs)


def _drawn(check: Check, situation: Situation) -> bool:
    new = situation.new_strokes
    if not check.drawing:
        return len(new) + situation.has_new_picture >= check.count
    return len(new) >= check.count and all(_DRAWINGS[word](situation, pixels) for word, pixels in check.drawing)


def _is_in_corner(situation: Situation, _: int) -> bool:
    """Return whether all that is drawn lies in a corner."""
    points = [point for stroke in situation.strokes for point in stroke.points]
    return all(max(values) <= _CORNER or min(values) >= CANVAS_SIDE - _CORNER for values in zip(*points, strict=True))


def _moved(check: Check, situation: Situation) -> bool:
    return situation.moved >= check.count


def _misread(check: Check, situation: Situation) -> bool:
    """Return whether a network has answered something else to a drawing than was meant."""
    for each in situation.kept:
        if (prepared := prepare(ink_of(each.strokes))) is None:
            continue
        for run in situation.answering:
            with suppress(LabError):  # a network that cannot answer has misread nothing
                if answers_of(run, prepared.centred[None])[0].digit != each.digit:
                    return True
    return False


def _network_written(situation: Situation) -> Understood | None:
    """Return the network that stands in the editor, if it is another one than at first and can be trained."""
    if situation.source in ("", situation.first_source):
        return None
    try:
        network = understand(read(situation.source))
    except CannotRead:
        return None
    return network if network.can_train else None


def _written(check: Check, situation: Situation) -> bool:
    return _network_written(situation) is not None


def _no_list(check: Check, situation: Situation) -> bool:
    try:
        if network := _network_written(situation):
            as_sequential(network)
    except CannotBeSequential:
        return True
    return False


def _own_network(check: Check, situation: Situation) -> bool:
    return any(run.model not in ("sequential", "module", "residual") for run in situation.finished_runs)


def _stepped(check: Check, situation: Situation) -> bool:
    return situation.step >= check.count


def _opened(check: Check, situation: Situation) -> bool:
    return check.word in situation.pages


def _inspected(check: Check, situation: Situation) -> bool:
    return situation.inspected is not None and situation.inspected.issuperset(check.shown)


_CORNER = 0.4 * CANVAS_SIDE
_DRAWINGS: dict[str, Callable[[Situation, int], bool]] = {
    "thinner": lambda situation, pixels: all(stroke.width < pixels for stroke in situation.new_ink),
    "thicker": lambda situation, pixels: all(stroke.width > pixels for stroke in situation.new_ink),
    "in-corner": _is_in_corner,
    "on-picture": lambda situation, _: situation.is_on_picture,
}
_DRAWING = r"(?P<word>thinner|thicker)=(?P<pixels>\d{1,3})|in-corner|on-picture"
# Of Inspect: the newest run, the test set of people's digits, and two of its tabs.
INSPECTED = ("newest", "people", "most-wrong", "how-sure")
PAGES = ("home", "write", "step", "train", "compare", "draw", "inspect", "sweep")
CHECKS = {
    "trained": CheckKind(_trained, "trained [HOW MANY] [setting=value …]", ("settings", "count")),
    "compared": CheckKind(_compared, "compared SETTING HOW MANY", ("setting", "count")),
    "both": CheckKind(_both, "both"),
    "rate-changed": CheckKind(_rate_changed, "rate-changed"),
    "drawn": CheckKind(
        _drawn,
        "drawn [STROKES] [thinner=PIXELS] [thicker=PIXELS] [in-corner] [on-picture]",
        ("count", "drawing"),
    ),
    "moved": CheckKind(_moved, "moved PIXELS", ("count",)),
    "misread": CheckKind(_misread, "misread", asks_networks=True),
    "written": CheckKind(_written, "written"),
    "no-list": CheckKind(_no_list, "no-list"),
    "own-network": CheckKind(_own_network, "own-network"),
    "stepped": CheckKind(_stepped, "stepped STEP", ("count",)),
    "opened": CheckKind(_opened, "opened PAGE", ("page",)),
    "inspected": CheckKind(_inspected, "inspected [newest] [people] [most-wrong] [how-sure]", ("shown",)),
}
