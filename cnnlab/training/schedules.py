"""How the learning rate changes over a run: constant, or one-cycle."""


def learning_rate_at(progress: float, highest: float, schedule: str) -> float:
    """Return the learning rate of a step.

    "constant" leaves it as it is. "one-cycle" lets it rise in a straight line over the first quarter of the run, and
    fall in a straight line to 0 over the rest (L. N. Smith and N. Topin, Super-convergence, arXiv:1708.07120).

    Parameters
    ----------
    progress
        The share of the run that is done in the middle of the step, above 0 and below 1.
    highest
        The recipe's learning rate.
    schedule
        "constant" or "one-cycle".
    """
    return highest if schedule == "constant" else highest * min(progress / 0.25, (1 - progress) / 0.75)
