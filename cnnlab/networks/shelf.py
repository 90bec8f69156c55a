"""The networks of one's own: their sources lie in the home, one file for each version, and are never executed."""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cnnlab.errors import LabError
from cnnlab.models.definitions import DEFINITIONS, Definition, UnknownDefinition
from cnnlab.models.reading.network import CannotRead
from cnnlab.models.sources import ReadDefinition, read_definition
from cnnlab.storage.checksums import sealed, unsealed
from cnnlab.storage.files import identifier_after, replacing
from cnnlab.storage.home import home, listing, require_home, writing_to_home

FORMAT = 1
LONGEST_NAME = 40


class UnfitName(LabError):
    """A network cannot be called this."""


@dataclass(frozen=True)
class Kept:
    """A version of a network, as it lies in the home.

    Attributes
    ----------
    name
        What a person called it.
    version
        From 1: each source that was kept under the name is another.
    source
        What was typed.
    made_by
        The name of whoever kept it; None where nobody said who he is.
    path
        Of its file.
    """

    name: str
    version: int
    source: str
    made_by: str | None
    path: Path

    @property
    def title(self) -> str:
        """What runs and lists call it: the name and, from the second on, the version."""
        return self.name if self.version == 1 else f"{self.name} v{self.version}"


def networks_folder() -> Path:
    return home() / "networks"


def kept_networks() -> list[Kept]:
    """Return all versions of all networks in the home, the newest first. A file that cannot be read is left out."""
    found = []
    for name in sorted(listing(networks_folder()), reverse=True):
        if name.endswith(".json") and (kept := _kept_in(networks_folder() / name)):
            found.append(kept)
    return found


def damaged_networks() -> list[Path]:
    """Return the files of networks that cannot be read."""
    paths = [networks_folder() / name for name in sorted(listing(networks_folder())) if name.endswith(".json")]
    return [path for path in paths if _kept_in(path) is None]


def _kept_in(path: Path) -> Kept | None:
    """Return what a file holds; None if it cannot be read. It is read again when it has changed."""
    try:
        found = path.stat()
        return _kept_at(path, found.st_size, found.st_mtime_ns)
    except OSError:
        return None


@lru_cache(maxsize=1024)
def _kept_at(path: Path, _size: int, _modified: int) -> Kept | None:
    content = path.read_text(encoding="utf-8")
    try:
        told = unsealed(json.loads(content))
        if told["format"] > FORMAT:
            return None
        made_by = str(told["made_by"]) if told.get("made_by") else None
        kept = Kept(str(told["name"]), int(told["version"]), str(told["source"]), made_by, path)
        read_definition(kept.title, kept.source)
    except (ValueError, KeyError, TypeError, RecursionError, CannotRead):
        return None
    return kept


def all_networks() -> dict[str, Definition]:
    """Return every network that can be trained by its name: those of the lab, then one's own, the newest first."""
    return {**DEFINITIONS, **{kept.title: _definition(kept) for kept in kept_networks()}}


def network_named(name: str) -> Definition:
    """Return a network by its name.

    Raises
    ------
    UnknownDefinition
        If there is none.
    """
    try:
        return DEFINITIONS.get(name) or all_networks()[name]
    except (KeyError, TypeError):  # TypeError: what somebody wrote into a plan is a list
        known = ", ".join(all_networks())
        raise UnknownDefinition(f"There is no network named {name!r}: choose one of {known}.") from None


def keep_network(name: str, source: str, made_by: str | None = None) -> ReadDefinition:
    """Keep a source under a name, as a new version where the name has another one.

    Raises
    ------
    UnfitName
        If the name is empty, too long, or one of the lab's own.
    CannotRead
        If the source cannot be read or trained: nothing is kept.
    HomeError
        If the home cannot be written.
    """
    name = " ".join(name.split())
    if not name.isprintable() or not 1 <= len(name) <= LONGEST_NAME:
        raise UnfitName(f"A network's name has 1 to {LONGEST_NAME} letters that can be printed, and this is {name!r}.")
    if name in DEFINITIONS or name in {definition.title for definition in DEFINITIONS.values()}:
        raise UnfitName(f"{name} is one of the lab's own networks: choose another name.")
    read_definition(name, source)
    versions = [kept for kept in kept_networks() if kept.name == name]
    if same := next((kept for kept in versions if (kept.source, kept.made_by) == (source, made_by)), None):
        return _definition(same)
    version = 1 + max(_deleted_version(name), *(each.version for each in versions), 0)
    require_home()
    with writing_to_home():
        networks_folder().mkdir(parents=True, exist_ok=True)
        taken = [name.removesuffix(".json") for name in listing(networks_folder())]
        path = networks_folder() / f"{identifier_after(taken)}.json"
        told = {"format": FORMAT, "name": name, "version": version, "source": source, "made_by": made_by}
        with replacing(path) as unfinished:
            unfinished.write_text(json.dumps(sealed(told), indent=2) + "\n", encoding="utf-8")
    return _definition(Kept(name, version, source, made_by, path))


def delete_network(kept: Kept) -> None:
    """Remove a version of a network; runs that have trained it keep its source.

    Raises
    ------
    HomeError
        If the home cannot be written.
    """
    with writing_to_home():
        if kept.version > _deleted_version(kept.name):
            with replacing(_deleted_path(kept.name)) as unfinished:
                unfinished.write_text(str(kept.version), encoding="ascii")
        kept.path.unlink(missing_ok=True)


def delete_damaged_network(path: Path) -> None:
    """Remove a file that `damaged_networks` returns.

    Raises
    ------
    HomeError
        If the home cannot be written.
    """
    with writing_to_home():
        path.unlink(missing_ok=True)


def _deleted_path(name: str) -> Path:
    """Return the file with the highest version of a name that was deleted: no other network is ever called the same."""
    return networks_folder() / f".deleted-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _deleted_version(name: str) -> int:
    try:
        return int(_deleted_path(name).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def _definition(kept: Kept) -> ReadDefinition:
    return read_definition(kept.title, kept.source)
