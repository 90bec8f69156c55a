"""Plans as TOML, which people write, and as JSON, which the lab keeps."""

import tomllib
from dataclasses import asdict, fields
from typing import Any

from cnnlab.sweeps.plan import Between, InvalidSweep, Plan, Search

MOST_BYTES = 1_000_000


def plan_in(content: bytes) -> tuple[str | None, Plan]:
    """Read a plan that somebody wrote in TOML, and the sweep's name if it has one.

    A list holds values to try; a table with low, high and perhaps log = true numbers to draw between; anything else is
    what all runs share. The table [draws] says how many runs to draw, and with which seed; the table [search] has the
    fields of `Search`.

    Raises
    ------
    InvalidSweep
        If it cannot be read, or is no plan.
    """
    if len(content) > MOST_BYTES:
        raise InvalidSweep(f"The plan has more than {MOST_BYTES / 1e6:.0f} MB, which no plan needs.")
    try:
        read = tomllib.loads(content.decode("utf-8-sig"))  # some editors begin a file with a byte order mark
    except (ValueError, RecursionError) as error:  # ValueError: a number of thousands of digits is one
        raise InvalidSweep(f"The plan is not TOML: {error}.") from error
    name = read.pop("name", None)
    draws, search = read.pop("draws", {}), read.pop("search", None)
    if not (name is None or isinstance(name, str)):
        raise InvalidSweep(f"name is {name!r}; it must be a text.")
    if not isinstance(draws, dict) or not draws.keys() <= {"count", "seed"} or (draws and "count" not in draws):
        raise InvalidSweep("[draws] must have a count, can have a seed, and nothing else.")
    if type(draws.get("seed", 0)) is not int:
        raise InvalidSweep(f"The seed of [draws] is {draws['seed']!r}; allowed is a whole number.")
    names = [field.name for field in fields(Search)]
    if search is not None and not (isinstance(search, dict) and "runs" in search and search.keys() <= set(names)):
        raise InvalidSweep(f"[search] must have runs, can have {', '.join(names[1:])}, and nothing else.")
    settings = {field: _values_in(field, value) for field, value in read.items()}
    return name, Plan(settings, draws.get("count"), draws.get("seed", 0), Search(**search) if search else None)


def _values_in(name: str, value: Any) -> Any:
    match value:
        case dict():
            if not {"low", "high"} <= value.keys() <= {"low", "high", "log"}:
                raise InvalidSweep(f"{name} must have low and high, can have log, and nothing else.")
            return Between(value["low"], value["high"], value.get("log") is True)
        case list():
            return tuple(value)
        case _:
            return value


def plan_as_json(plan: Plan) -> dict[str, Any]:
    def value_of(value: Any) -> Any:
        if isinstance(value, Between):
            return {"low": value.low, "high": value.high, "log": value.is_logarithmic}
        return list(value) if isinstance(value, tuple) else value

    settings = {name: value_of(value) for name, value in plan.settings.items()}
    search = asdict(plan.search) if plan.search else None
    return {"settings": settings, "draws": plan.draws, "draws_seed": plan.draws_seed, "search": search}


def plan_from_json(content: dict[str, Any]) -> Plan:
    settings = {name: _values_in(name, value) for name, value in content["settings"].items()}
    search = Search(**content["search"]) if content["search"] else None
    return Plan(settings, content["draws"], content["draws_seed"], search)
