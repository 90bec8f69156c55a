"""How many digits a drawing shows side by side."""

import numpy as np

from cnnlab.drawing.preparation import FAINT, bounding_box

# A part of a digit, such as the bar of a five, may stand beside the rest of it; it is not nearly as high.
_HIGH = 0.55  # of the whole drawing's height
_GAP = 0.02  # of the whole drawing's longer side, without ink


def digits_side_by_side(drawn: np.ndarray) -> int:
    """Return how many parts of a digit's height lie beside each other with empty columns between them.

    Parameters
    ----------
    drawn
        Shape (height, width): the ink, from 0 to 1.

    Returns
    -------
    int
        0 where nothing is drawn; at least 1 else.
    """
    box = bounding_box(drawn)
    if box is None:
        return 0
    is_ink = drawn[box] >= FAINT
    height, width = is_ink.shape
    columns = np.flatnonzero(is_ink.any(axis=0))
    gap = max(2.0, _GAP * max(height, width))
    parts = np.split(columns, np.flatnonzero(np.diff(columns) > gap) + 1)
    heights = [np.ptp(np.flatnonzero(is_ink[:, part].any(axis=1))) + 1 for part in parts]
    return max(1, sum(bool(own >= _HIGH * height) for own in heights))
