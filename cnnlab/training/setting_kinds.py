"""The kinds of settings that a recipe has: what each allows, and how people name, enter and read it.

A setting is one field of `cnnlab.training.recipe.TrainingConfig`, made by `whole`, `number`, `choice` or `switch`. The
check, the command line's options, the pages' fields, the line below a run's name and the sweeps' form are all made from
it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from cnnlab.wording import plural


@dataclass(frozen=True, kw_only=True)
class Setting(ABC):
    """One setting of a recipe.

    Attributes
    ----------
    label
        Its name on the pages.
    help
        One or two sentences for a learner.
    phrase
        How a run's value is read in a line of text: "batch size {}".
    is_always_named
        Whether that line names it also where it has its default.
    tried
        The values that the form of a sweep begins with; empty where it does not offer the setting.
    default
        The tutorial's value; None where it depends on the machine.
    """

    label: str
    help: str
    phrase: str = "{}"
    is_always_named: bool = False
    tried: tuple[Any, ...] = ()
    default: Any = None

    @property
    @abstractmethod
    def allowed(self) -> str:
        """What a value may be, in words."""

    @abstractmethod
    def allows(self, value: object) -> bool:
        """Return whether a value is allowed."""

    @abstractmethod
    def written(self, value: Any) -> str:
        """Return a value as people read it."""

    def described(self, value: Any) -> str:
        """Return the part of a line that names a value; empty where it is the default and goes without saying."""
        if value == self.default and not self.is_always_named:
            return ""
        return self.phrase.format(self.written(value))


@dataclass(frozen=True, kw_only=True)
class Whole(Setting):
    """A whole number, both bounds included.

    Attributes
    ----------
    unit
        What it counts, if anything: it is then read as 1 epoch, 2 epochs.
    is_name
        Whether it names something, such as a seed: it is then read without separators.
    """

    low: int
    high: int
    unit: str = ""
    is_name: bool = False

    @property
    def allowed(self) -> str:
        return f"a whole number from {self.low:,} to {self.high:,}"

    def allows(self, value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high

    def written(self, value: int) -> str:
        if self.is_name:
            return str(value)
        return plural(value, self.unit) if self.unit else f"{value:,}"


@dataclass(frozen=True, kw_only=True)
class Number(Setting):
    """A number between two bounds, of which one may be excluded.

    Attributes
    ----------
    step
        By how much the buttons beside a field change it.
    is_logarithmic
        Whether its powers of ten matter: values are then drawn evenly between the logarithms of their bounds.
    """

    low: float
    high: float
    excludes_low: bool = False
    excludes_high: bool = False
    step: float
    is_logarithmic: bool = False

    @property
    def allowed(self) -> str:
        if self.excludes_low:
            return f"a number above {self.low:,} and at most {self.high:,}"
        if self.excludes_high:
            return f"a number from {self.low:,} up to, not including, {self.high:,}"
        return f"a number from {self.low:,} to {self.high:,}"

    def allows(self, value: object) -> bool:
        if not isinstance(value, int | float) or isinstance(value, bool) or not self.low <= value <= self.high:
            return False
        return not (self.excludes_low and value == self.low) and not (self.excludes_high and value == self.high)

    def written(self, value: float) -> str:
        return f"{value:g}"


@dataclass(frozen=True, kw_only=True)
class Choice(Setting):
    """One of several names; `titles` has what the pages call some of them."""

    choices: tuple[str, ...]
    titles: Mapping[str, str] = field(default_factory=dict)

    @property
    def allowed(self) -> str:
        return f"one of {', '.join(self.choices)}"

    def allows(self, value: object) -> bool:
        return isinstance(value, str) and value in self.choices

    def written(self, value: str) -> str:
        return value

    def title(self, value: str) -> str:
        """Return what the pages call a choice."""
        return self.titles.get(value, value)


@dataclass(frozen=True, kw_only=True)
class Switch(Setting):
    """On or off. `phrase` is read where it is on."""

    @property
    def allowed(self) -> str:
        return "true or false"

    def allows(self, value: object) -> bool:
        return isinstance(value, bool)

    def written(self, value: bool) -> str:
        return "on" if value else "off"


_KEY = "setting"


def whole(default: int | Callable[[], int], **details: Any) -> Any:
    """Return a dataclass field that is a `Whole`; a function makes a default that depends on the machine."""
    return _field(Whole, default, details)


def number(default: float, **details: Any) -> Any:
    """Return a dataclass field that is a `Number`."""
    return _field(Number, default, details)


def choice(default: str, choices: tuple[str, ...], **details: Any) -> Any:
    """Return a dataclass field that is a `Choice`."""
    return _field(Choice, default, {"choices": choices, **details})


def switch(default: bool, **details: Any) -> Any:
    """Return a dataclass field that is a `Switch`."""
    return _field(Switch, default, details)


def _field(kind: type[Setting], default: Any, details: dict[str, Any]) -> Any:
    if callable(default):
        return field(default_factory=default, metadata={_KEY: kind(**details)})
    return field(default=default, metadata={_KEY: kind(default=default, **details)})


def settings_of(recipe: type) -> dict[str, Setting]:
    """Return the settings of a recipe's class by name, in the order of its fields."""
    return {each.name: each.metadata[_KEY] for each in fields(recipe)}


def default_of(recipe: type, name: str) -> Any:
    """Return the value that a setting has on this machine if nobody gives one."""
    (found,) = (each for each in fields(recipe) if each.name == name)
    return found.default if found.default_factory is MISSING else found.default_factory()
