"""Snapshots of the weights of a run, kept while it trained: its film."""

from cnnlab.runs.folder import DamagedRun, UnreadableRun, read_whole, require_whole
from cnnlab.runs.run import Run
from cnnlab.storage.checksums import is_whole_tensors, origin_of

DEFAULT_SNAPSHOTS, MOST_SNAPSHOTS = 40, 100
# Of all snapshots of a run; 40 of the tutorial's network take 4.7 MB.
_MOST_BYTES = 24_000_000
# A snapshot takes about as long as training on 70 images, and so one of so many images less than 2 % of the time.
_IMAGES_FOR_ONE = 6_000


def snapshot_steps(total_steps: int, count: int) -> tuple[int, ...]:
    """Return after which steps a run's weights are kept: the first ones densely, later ones ever more sparsely.

    Each is about as many times the one before, since most is learned at first: forty of 4,690 steps are 0, 1, 2, 3, 4,
    5, 6, 7, 9, 11, 13 … 2,548, 3,123, 3,827 and 4,690.

    Parameters
    ----------
    count
        How many, at most; there are no more than the steps, and the one before the first.
    """
    steps = [0, 1][: max(0, min(count - 1, total_steps))]
    for left in range(min(count, total_steps + 1) - len(steps), 0, -1):
        last = steps[-1] if steps else 0
        further = round(max(1, last) * (total_steps / max(1, last)) ** (1 / left))
        steps.append(total_steps if left == 1 else max(last + 1, further))
    return tuple(steps)


def snapshots_worth_while(images: int) -> int:
    """Return how many snapshots a run keeps at most that trains on so many images, each counted in each epoch."""
    return max(2, images // _IMAGES_FOR_ONE)


def snapshots_that_fit(bytes_of_weights: int) -> int:
    """Return how many snapshots of a network of that size a run keeps at most; one alone would be no film."""
    fit = _MOST_BYTES // max(1, bytes_of_weights)
    return fit if fit > 1 else 0


def kept_steps(run: Run) -> list[int]:
    """Return after which steps a run has a snapshot of its weights, in order; those that are not whole are left out."""
    steps = []
    for path in run.snapshots_folder.glob("*.safetensors"):
        try:
            require_whole(path, is_whole_tensors)
        except UnreadableRun:  # such as after a power cut while it was written
            continue
        if path.stem.isdecimal() and path == run.snapshot_path(int(path.stem)):
            steps.append(int(path.stem))
    return sorted(steps)


def read_snapshot(run: Run, step: int) -> bytes:
    """Return the file of a run's weights after a step.

    Raises
    ------
    UnreadableRun
        If there is none, or it cannot be read, or is of another run or step.
    """
    path = run.snapshot_path(step)
    content = read_whole(path, is_whole_tensors)
    if content is None:
        raise DamagedRun(path, "is gone")
    origin = origin_of(content)
    if origin.get("run") != run.identity or origin.get("step") != str(step):
        raise DamagedRun(path, "is another run's, or of another step")
    return content


def why_no_film(run: Run) -> str:
    """Return in a sentence why a run has no snapshots."""
    if run.is_reference:
        return "The runs that ship with the lab have no snapshots of their weights. One that you train keeps some."
    if run.snapshots is None:
        return "This run keeps no snapshots of its weights: it was made by an earlier version of the lab."
    if run.sweep_id is not None:
        return "The runs of a sweep keep no snapshots of their weights."
    if run.snapshots == 0:
        return "This run was started to keep no snapshots of its weights."
    weights = run.weights_path.stat().st_size if run.weights_path.exists() else 0
    if snapshots_that_fit(weights) == 0:
        return f"A network of {weights / 1e6:,.0f} MB is too large for snapshots."
    if run.status.is_active:
        return "The first snapshot of its weights comes when it begins to train."
    return "The snapshots of its weights are not here: an archive has them only if they are asked for."
