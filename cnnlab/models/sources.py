"""From a name and a source to the definition that they mean: a registered one, or one that is read."""

from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

from cnnlab.models.definitions import DEFINITIONS, Definition, UnknownDefinition
from cnnlab.models.reading.building import build
from cnnlab.models.reading.network import CannotRead
from cnnlab.models.reading.source import read
from cnnlab.models.reading.understanding import require_trainable


@dataclass(frozen=True)
class ReadDefinition(Definition):
    """A definition whose source is read, and never executed."""

    text: str = ""

    @cached_property
    def source(self) -> str:
        """The source, as it was typed."""
        return self.text


@lru_cache(maxsize=256)
def read_definition(name: str, source: str) -> ReadDefinition:
    """Return the network that a source says.

    Raises
    ------
    CannotRead
        If the source is not understood, or has a mistake that prevents training.
    """
    network = read(source)
    require_trainable(network)
    registered = DEFINITIONS.get(name)
    return ReadDefinition(
        name=name,
        title=registered.title if registered else name,
        description="A network of one's own.",
        factory=partial(build, network),
        text=source,
    )


def definition_of(name: str, source: str) -> Definition:
    """Return the definition that a run was made with: the registered one, if it is written so, else what is read.

    Raises
    ------
    UnknownDefinition
        If it is written otherwise, and its source is none that the lab can read.
    """
    registered = DEFINITIONS.get(name)
    if registered is not None and registered.source == source:
        return registered
    try:
        return read_definition(name, source)
    except CannotRead as error:
        raise UnknownDefinition(
            f"cnnlab/models/definitions.py has no {registered.title if registered else name}, or has changed it, and "
            f"the source that the run was made with cannot be read ({error})"
        ) from error
