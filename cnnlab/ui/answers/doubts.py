"""What is to be said against the networks' answers to a drawing: it shows several digits, or none that they know."""

from collections.abc import Iterator, Sequence

from cnnlab.drawing.preparation import Preparation
from cnnlab.drawing.several import digits_side_by_side
from cnnlab.inference.unlike import answers_at_once, are_digits
from cnnlab.runs.run import Run
from cnnlab.ui.frame.torch_thread import ask

UNLIKE = "Most likely no digit. A network can only answer 0 to 9, so it answers anyway."


def several_in_words(prepared: Preparation) -> str:
    """Return what is to be said of a drawing of several digits side by side; of any other, nothing."""
    count = digits_side_by_side(prepared.drawn)
    if count < 2:
        return ""
    return f"This looks like {count} digits. A network is trained to read one, and answers all the same."


def finding_it_unlike(runs: Sequence[Run], prepared: Preparation) -> Iterator[set[str]]:
    """Yield which of some runs find a drawing unlike all digits that they know, by their identifiers.

    First of those that can say so at once; then of all, a second or two for each of the others later.

    Raises
    ------
    LabError
        If the digits to compare with cannot be read.
    """
    at_once = [run for run in runs if ask(answers_at_once, run)]
    image = prepared.centred[None]
    found = {run.id for run in at_once if not ask(are_digits, run, image)[0]}
    yield found
    if others := [run for run in runs if run not in at_once]:
        yield found | {run.id for run in others if not ask(are_digits, run, image)[0]}
