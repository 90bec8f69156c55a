"""Numbers and names as people read them, on pages and on the command line."""

from datetime import UTC, datetime


def percent(share: float) -> str:
    """Return a share from 0 to 1 as a percentage with two decimals: 98.35 %."""
    return f"{100 * share:.2f} %"


def percent_range(low: float, high: float) -> str:
    """Return two shares as the ends of an interval: 98.18 % to 98.66 %."""
    return f"{percent(low)} to {percent(high)}"


def loss_text(loss: float) -> str:
    """Return a loss with four decimals; one that has exploded with three digits: 2.48e+05."""
    return f"{loss:.4f}" if loss < 1000 else f"{loss:.3g}"


def duration(seconds: float) -> str:
    """Return a length of time: 8 s, 1 min 5 s, 2 h 3 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def ago(moment: datetime) -> str:
    """Return how long ago a moment was, roughly."""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    for unit, length in (("day", 86_400), ("hour", 3_600), ("min", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} min ago" if unit == "min" else f"{plural(count, unit)} ago"
    return "just now"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: 1 run, 2 runs."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def in_one_line(text: str) -> str:
    """Return a text from outside, such as a file's name, with what cannot be printed as its code: a\\tb."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def shape_text(shape: tuple[int, ...]) -> str:
    """Return a shape as the pages write it: 8 × 26 × 26."""
    return " × ".join(f"{size:,}" for size in shape)


def as_line(text: str) -> str:
    """Return a text with each unprintable character replaced by \ufffd."""
    return "".join(sign if sign.isprintable() or sign == _JOINER else "\ufffd" for sign in text)


# Of emoji: a family is made of persons.
_JOINER = "\u200d"
