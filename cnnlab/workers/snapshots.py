"""When a run's weights are kept for its film, so that it costs no more than a fiftieth of the training."""

import time

from cnnlab.runs.record import Record
from cnnlab.runs.snapshots import MOST_SNAPSHOTS, snapshot_steps, snapshots_that_fit, snapshots_worth_while
from cnnlab.training.recipe import TrainingConfig
from cnnlab.training.state import TrainingState

MOST_SHARE = 0.02
_MEASURED_FROM = 3  # the first ones wait for what any run waits for once


class Snapshots:
    """Takes the snapshots of a run that trains.

    After which steps they are depends on the recipe alone, so that two equal runs have the same film. Only where the
    disk is so slow that they would take longer than `MOST_SHARE` of the training, some are left out, as many of the
    early as of the late ones to come.

    Parameters
    ----------
    count
        How many the run keeps, at most.
    config
        Its recipe. A short run keeps fewer.
    state
        The training, which may have begun before.
    """

    def __init__(self, count: int, config: TrainingConfig, state: TrainingState) -> None:
        weights = sum(tensor.nbytes for tensor in state.model.state_dict().values())
        count = min(
            count,
            MOST_SNAPSHOTS,
            snapshots_that_fit(weights),
            snapshots_worth_while(config.epochs * config.images_per_epoch),
        )
        self._state, self._total_steps = state, config.total_steps
        self._due = [step for step in snapshot_steps(self._total_steps, count) if step >= state.step]
        self._begun = state.step, state.seconds
        self._seconds: list[float] = []  # of each that was taken

    def take_if_due(self, writer: Record) -> None:
        """Keep the weights as they are now, if they should be; for when a step has been logged."""
        if not self._due or self._due[0] > self._state.step:
            return
        self._due = [step for step in self._due if step > self._state.step]
        begun = time.perf_counter()
        writer.save_snapshot(self._state.model.state_dict(), self._state.step)
        self._seconds.append(time.perf_counter() - begun)
        if len(self._seconds) >= _MEASURED_FROM and self._state.step > self._begun[0]:
            self._leave_out_what_does_not_fit()

    def _leave_out_what_does_not_fit(self) -> None:
        """Let the snapshots to come be no more than there is time for, as fast as the fastest so far was."""
        fit = int(MOST_SHARE * self._seconds_of_all() / max(1e-9, min(self._seconds))) - len(self._seconds)
        if fit < len(self._due):
            count = max(0, fit)
            self._due = [self._due[(place + 1) * len(self._due) // count - 1] for place in range(count)]

    def _seconds_of_all(self) -> float:
        """Return how long the whole run would train at the speed so far, in seconds."""
        steps, seconds = self._state.step - self._begun[0], self._state.seconds - self._begun[1]
        return seconds / steps * self._total_steps
