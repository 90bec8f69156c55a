"""How the lab sees that a step of a lesson was done."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field

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
    strokes
        How many are on the canvas that were not there when the step was turned to.
    source
        What stands in the editor of Write; empty if nobody was there.
    first_source
        What stood there when the lesson began.
    step
        The step that Step shows, from 1; 0 if nobody was there.
    pages
        Those that were opened since the step was.
    """

    runs: tuple[Run, ...] = ()
    strokes: int = 0
    source: str = ""
    first_source: str = ""
    step: int = 0
    pages: frozenset[str] = frozenset()

    @property
    def finished_runs(self) -> list[Run]:
        """The runs that trained to their end, the newest first."""
        return [run for run in self.runs if run.status is Status.FINISHED]


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
    """

    name: str
    settings: tuple[tuple[str, object], ...] = ()
    count: int = 1
    word: str = ""

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
        What may follow its name: "settings", "count", "setting", "page".
    """

    is_met: Callable[[Check, Situation], bool]
    usage: str
    takes: tuple[str, ...] = field(default=())


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
    count, about = 1, ""
    for word in words:
        if "settings" in kind.takes and "=" in word:
            settings.append(_setting(word))
        elif "count" in kind.takes and word.isdecimal():
            count = int(word)
        elif ("setting" in kind.takes and word in SETTINGS) or ("page" in kind.takes and word in PAGES):
            about = word
        else:
            raise ValueError(f"{word!r} cannot stand behind the check {name}; it is written {kind.usage!r}.")
    if ("setting" in kind.takes or "page" in kind.takes) and not about:
        raise ValueError(f"the check {name} is written {kind.usage!r}.")
    return Check(name, tuple(settings), count, about)


def _setting(word: str) -> tuple[str, object]:
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
    return situation.strokes >= check.count


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


PAGES = ("home", "write", "step", "train", "compare", "draw", "inspect", "sweep")
CHECKS = {
    "trained": CheckKind(_trained, "trained [HOW MANY] [setting=value …]", ("settings", "count")),
    "compared": CheckKind(_compared, "compared SETTING HOW MANY", ("setting", "count")),
    "both": CheckKind(_both, "both"),
    "rate-changed": CheckKind(_rate_changed, "rate-changed"),
    "drawn": CheckKind(_drawn, "drawn [STROKES]", ("count",)),
    "written": CheckKind(_written, "written"),
    "no-list": CheckKind(_no_list, "no-list"),
    "own-network": CheckKind(_own_network, "own-network"),
    "stepped": CheckKind(_stepped, "stepped STEP", ("count",)),
    "opened": CheckKind(_opened, "opened PAGE", ("page",)),
}
