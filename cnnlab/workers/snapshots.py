"""When a run's weights are kept for its film, so that it costs no more than a fiftieth of the training."""

import time

from cnnlab.runs.record import Record
from cnnlab.runs.snapshots import MOST_SNAPSHOTS, snapshot_steps, snapshots_that_fit
from cnnlab.training.state import TrainingState

MOST_SHARE = 0.02


class Snapshots:
    """Takes the snapshots of a run that trains.

    Where the disk is so slow that they would take longer than `MOST_SHARE` of the training, some are left out, as many
    of the early as of the late ones.

    Parameters
    ----------
    count
        How many the run keeps, at most.
    state
        The training, which may have begun before.
    total_steps
        Of the whole run.
    """

    def __init__(self, count: int, state: TrainingState, total_steps: int) -> None:
        weights = sum(tensor.nbytes for tensor in state.model.state_dict().values())
        steps = snapshot_steps(total_steps, min(count, MOST_SNAPSHOTS, snapshots_that_fit(weights)))
        self._state, self._total_steps = state, total_steps
        self._due = {step: place / len(steps) for place, step in enumerate(steps, start=1) if step >= state.step}
        self._begun = state.step, state.seconds
        self._taken, self._spent = 0, 0.0

    def take_if_due(self, writer: Record) -> None:
        """Keep the weights as they are now, if they should be; for when a step has been logged."""
        reached = [step for step in self._due if step <= self._state.step]
        if not reached:
            return
        share = [self._due.pop(step) for step in reached][-1]
        expected = self._spent / max(1, self._taken)
        if self._spent + expected > MOST_SHARE * share * self._seconds_of_all():
            return
        begun = time.perf_counter()
        writer.save_snapshot(self._state.model.state_dict(), self._state.step)
        self._spent += time.perf_counter() - begun
        self._taken += 1

    def _seconds_of_all(self) -> float:
        """Return how long the whole run would train at the speed so far, in seconds."""
        steps, seconds = self._state.step - self._begun[0], self._state.seconds - self._begun[1]
        return seconds / steps * self._total_steps if steps else float("inf")
