"""What a photo shows besides ink: the light on the paper, and the lines that are printed on it.

The filters are those of mathematical morphology (J. Serra, Image analysis and mathematical morphology, 1982).
"""

import numpy as np
from PIL import Image
from scipy import ndimage

# Where paper is unevenly lit, the ink of a place is what is darker than the light around it. The neighbourhood must be
# wider than the thickest stroke. As a share of the picture's longer side.
_NEIGHBOURHOOD = 0.18
_LIGHT_SIDE = 140  # light changes slowly: a picture of this many pixels is enough to see it
_DARKEST = 0.1  # less light than this is noise, and nothing is divided by it

_BESIDE = 4  # how far from a stroke its paper is looked at, in pixels
_PAPER_AROUND = 0.75  # of the places beside a stroke: so many show paper

_THICKEST_LINE = 6  # in pixels of a picture of 560: a hundredth of the sheet
# How far a line may lean, in pixels per pixel: up to 11 degrees to either side, and as much to the one as to the other.
_SLOPES = np.arange(-8, 9) / 40
_SHORTEST_RUN = 1 / 8  # of the picture: what is straight for so long may be a line
_SHORTEST_AT_EDGE, _SHORTEST = 0.25, 0.7  # of the picture: what is one, if it begins at the edge, and otherwise


def is_light_on_dark(grey: np.ndarray) -> bool:
    """Return whether a picture shows chalk on a board rather than ink on paper.

    Strokes are the lesser part of what is around them, and differ from its median. There is more paper than there are
    boards, and so a board must be dark, and its strokes twice as clear.

    Parameters
    ----------
    grey
        Shape (height, width), from 0 to 1.
    """
    small = _resized(grey, _LIGHT_SIDE // 2)
    around = ndimage.median_filter(small, max(3, round(_NEIGHBOURHOOD * max(small.shape))), mode="nearest")
    lighter, darker = ((small - around).clip(0) ** 3).sum(), ((around - small).clip(0) ** 3).sum()
    return bool(np.median(small) < 0.5 and lighter > 2 * darker)


def light_on(paper: np.ndarray) -> np.ndarray:
    """Return how brightly each place of a sheet is lit: the picture without anything dark that is as thin as a stroke.

    It is a closing, the maximum around each place and then the minimum of those: shade and desks that are wider than
    the neighbourhood stay as they are.

    Parameters
    ----------
    paper
        Shape (height, width, channels), from 0, black, to 1. Dark ink on light paper.

    Returns
    -------
    numpy.ndarray
        Of the same shape, float32.
    """
    return np.dstack([_light(channel) for channel in np.moveaxis(paper, 2, 0)])


def _light(channel: np.ndarray) -> np.ndarray:
    small = ndimage.grey_closing(_resized(channel, _LIGHT_SIDE), 5)  # no line goes on beyond the edge
    side = max(3, round(_NEIGHBOURHOOD * max(small.shape)) | 1)
    down, right = np.mgrid[:side, :side] - side // 2
    # Beyond the edge, the light falls as it fell before: else a slope that ends there would be filled up.
    beyond = min(side, *(length - 1 for length in small.shape))
    wide = np.minimum(np.pad(small, beyond, "edge"), np.pad(small, beyond, "reflect", reflect_type="odd"))
    closed = ndimage.grey_closing(wide, footprint=np.hypot(down, right) <= side / 2)
    smooth = ndimage.gaussian_filter(closed, 1.5)[beyond : beyond + small.shape[0], beyond : beyond + small.shape[1]]
    light = Image.fromarray(np.ascontiguousarray(smooth))
    return np.asarray(light.resize(channel.shape[::-1], Image.Resampling.BICUBIC))


def darkness(paper: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Return the share of the light that each place swallows, in the channel in which that is most. Shade is no ink.

    Returns
    -------
    numpy.ndarray
        Shape (height, width), float32, from 0 to 1.
    """
    return (1 - paper / np.maximum(light, _DARKEST)).clip(0, 1).max(axis=2).astype(np.float32)


def separating_level(grey: np.ndarray) -> float:
    """Return the level that separates the dark pixels from the light ones best.

    References
    ----------
    N. Otsu (1979), A threshold selection method from gray-level histograms.
    """
    counts, edges = np.histogram(grey, bins=128, range=(0, 1))
    levels = (edges[:-1] + edges[1:]) / 2
    below, mass = np.cumsum(counts), np.cumsum(counts * levels)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (mass / below - (mass[-1] - mass) / above) ** 2
    return float(edges[1:][np.nanargmax(between)])


def printed_lines(is_ink: np.ndarray) -> np.ndarray:
    """Return which pixels belong to long, thin, straight lines: those of the paper, near to level or upright.

    Where a stroke crosses a line or lies on it, it is thicker than the line, and is left out.

    Parameters
    ----------
    is_ink
        Shape (height, width), bool.

    Returns
    -------
    numpy.ndarray
        Of the same shape, bool.
    """
    level, upright = _long_level_lines(is_ink), _long_level_lines(is_ink.T).T
    thin_down, thin_across = _is_thin(is_ink), _is_thin(is_ink.T).T
    is_thick = ndimage.binary_opening(is_ink, np.ones((_THICKEST_LINE + 1,) * 2))
    return (level & thin_down) | (upright & thin_across) | (level & upright & ~is_thick)


def rims(is_ink: np.ndarray, grey: np.ndarray, smallest: float) -> np.ndarray:
    """Return which pieces of ink are rims: of a thumb, a desk, a shadow, where the light is not what it was taken for.

    A stroke has paper on both its sides, a rim on one.

    Parameters
    ----------
    is_ink
        Shape (height, width), bool.
    grey
        Of the same shape, from 0, black, to 1: what the camera saw.
    smallest
        Pieces whose longer side is shorter, in pixels, are not looked at.
    """
    labels, _ = ndimage.label(is_ink, np.ones((3, 3)))
    core = ndimage.minimum_filter(grey, 2 * _BESIDE + 1)
    found = np.zeros_like(is_ink)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if max(each.stop - each.start for each in box) < smallest:
            continue
        around = tuple(slice(max(0, each.start - 2 * _BESIDE), each.stop + 2 * _BESIDE) for each in box)
        piece = labels[around] == number
        away, (rows, columns) = ndimage.distance_transform_edt(~piece, return_indices=True)
        is_beside = (away > _BESIDE) & (away <= _BESIDE + 2) & ~is_ink[around]
        swallowed = 1 - core[around][rows, columns] / np.maximum(grey[around], _DARKEST)
        inside = swallowed[is_beside]
        if inside.size and (inside > 0.5 * np.quantile(inside, 0.9)).mean() < _PAPER_AROUND:
            found[around] |= piece
    return found


def _is_thin(is_ink: np.ndarray) -> np.ndarray:
    """Return which ink is thin from top to bottom."""
    return is_ink & ~ndimage.binary_opening(is_ink, np.ones((_THICKEST_LINE + 1, 1)))


def _long_level_lines(is_ink: np.ndarray) -> np.ndarray:
    """Return which ink lies on long lines that are near to level, whatever else it belongs to."""
    height, width = is_ink.shape
    run = max(3, round(_SHORTEST_RUN * max(is_ink.shape)))
    columns = np.arange(width)
    found = np.zeros_like(is_ink)
    for slope in _SLOPES:
        # Sheared so that lines of this slope are level. What comes in at the other side is cut off again.
        rows = np.arange(height)[:, None] + np.round(slope * (columns - width / 2)).astype(int)
        is_inside = (rows >= 0) & (rows < height)
        sheared = is_ink[rows.clip(0, height - 1), columns] & is_inside
        # A line may have gaps, from noise.
        is_run = ndimage.uniform_filter1d(sheared.astype(np.float32), run, axis=1, mode="nearest") > 0.85
        if not is_run.any():
            continue
        reached = ndimage.maximum_filter1d(is_run, run, axis=1)
        labels, _ = ndimage.label(reached)
        is_line = [False]
        for _, across in ndimage.find_objects(labels):
            at_edge = across.start <= 2 or across.stop >= width - 2
            is_line.append(across.stop - across.start >= (_SHORTEST_AT_EDGE if at_edge else _SHORTEST) * width)
        lines = np.array(is_line)[labels] & sheared
        found[rows[lines], np.broadcast_to(columns, lines.shape)[lines]] = True
    return found


def _resized(picture: np.ndarray, side: int) -> np.ndarray:
    """Shrink a picture so that its longer side has at most so many pixels."""
    scale = min(1.0, side / max(picture.shape))
    size = [max(1, round(scale * length)) for length in picture.shape[::-1]]
    return np.asarray(Image.fromarray(picture.astype(np.float32)).resize((size[0], size[1]), Image.Resampling.BOX))
