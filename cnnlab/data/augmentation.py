"""Augmentation: training images changed at random, so that a network trained on MNIST reads what people draw.

MNIST's writers were American. They write a one as one stroke, a seven without a bar and a nine with a straight tail;
who learned to write elsewhere gives the one a flag and a base, the seven a bar and the nine a hook, and a network that
has seen few of these takes them for 7, 2 and 3. `restyle` draws those strokes into some of the ones, sevens and nines.
The rest, `distort` and `thicken`, varies how a digit leans, is proportioned and how broad its pen was, on all of them.

Everything works on whole batches of shape (N, 1, 28, 28), float32 from 0, empty, to 1, full ink, and takes its
randomness from the generator alone. Points are (y, x) in pixels, counted from the middle of the first pixel.
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

SIDE = 28  # of an image, in pixels
MARGIN = 4  # around the 20 by 20 pixels that a digit fills, and so the farthest that it is moved

RESTYLED = 0.5  # of the ones, sevens and nines
BASED = 0.3  # of the ones that are restyled
THICKENED = 0.5  # of all images


def augment(images: Tensor, labels: Tensor, generator: Generator) -> Tensor:
    """Return a batch with every image augmented.

    Parameters
    ----------
    images
        Shape (N, 1, 28, 28). Left as they are.
    labels
        Shape (N,): the digits 0 to 9.
    generator
        Of the CPU, whatever the images' device, so that a seed means the same changes everywhere.
    """
    images = restyle(images, labels, generator)
    images = distort(images, generator)
    images = thicken(images, generator)
    return recentre(images)


def shift(images: Tensor, pixels: int, generator: Generator) -> Tensor:
    """Shift each image at random by whole pixels, at most `pixels` to each side; what leaves the image is lost."""
    return shifted(images, random_firsts(len(images), pixels, generator), pixels)


def random_firsts(count: int, pixels: int, generator: Generator) -> Tensor:
    """Return how some images are shifted: the rows and columns from which each is read, shape (2, count), int64.

    They are counted in the image with `pixels` empty pixels on each side.
    """
    return torch.randint(0, 2 * pixels + 1, (2, count), generator=generator)


def shifted(images: Tensor, firsts: Tensor, pixels: int) -> Tensor:
    """Return images, shape (N, 1, 28, 28), shifted as `random_firsts` says it."""
    return _cut(F.pad(images, [pixels] * 4), *firsts.to(images.device))


def restyle(images: Tensor, labels: Tensor, generator: Generator) -> Tensor:
    """Give some of the ones a flag, of the sevens a bar and of the nines a hook."""
    images = images.clone()
    chosen = _uniform(generator, labels, 0, 1) < RESTYLED
    for digit, edit in ((1, add_flag), (7, add_bar), (9, add_hook)):
        rows = torch.nonzero(chosen & (labels == digit))[:, 0]
        if len(rows):
            images[rows] = edit(images[rows], generator)
    return images


def add_flag(ones: Tensor, generator: Generator) -> Tensor:
    """Draw a flag from the top of each one to the left and down, and under some of them a base."""
    uniform = partial(_uniform, generator, ones)
    width = half_width(ones)
    top, foot = ends(ones, width)
    flag = uniform(3, 12)[:, None] * _direction(uniform(100, 170))
    ones = draw(ones, [top, top + flag], width)
    has_base = (uniform(0, 1) < BASED)[:, None]
    along = _direction(uniform(-12, 12)) * has_base  # without a base, a dot on the foot, which is ink already
    left, right = uniform(2, 7)[:, None], uniform(2, 7)[:, None]
    return draw(ones, [foot - left * along, foot + right * along], width)


def add_bar(sevens: Tensor, generator: Generator) -> Tensor:
    """Draw a bar across the stem of each seven, in the middle or below it."""
    uniform = partial(_uniform, generator, sevens)
    width = half_width(sevens)
    top, foot = ends(sevens, width)
    height = torch.lerp(top[:, 0], foot[:, 0], uniform(0.4, 0.75))
    middle = torch.stack([height, _column_of(sevens, height)], dim=1)
    along = _direction(uniform(-20, 20))
    left, right = uniform(2, 6)[:, None], uniform(2, 7)[:, None]
    return draw(sevens, [middle - left * along, middle + right * along], width)


def add_hook(nines: Tensor, generator: Generator) -> Tensor:
    """Lead the tail of each nine on to the left, and mostly up again at its end."""
    uniform = partial(_uniform, generator, nines)
    width = half_width(nines)
    _, foot = ends(nines, width)
    length = uniform(3, 11)
    bend = foot + torch.stack([uniform(0, 1.5), -uniform(0.4, 0.7) * length], dim=1)
    end = foot + torch.stack([-uniform(-0.5, 3), -length], dim=1)
    return draw(nines, [foot, bend, end], width)


def half_width(images: Tensor) -> Tensor:
    """Estimate half the width of the strokes of each image, shape (N,), in pixels.

    A stroke holds its length times its width of ink, and its two edges are twice its length: the changes from pixel to
    pixel add up to that, down and across, as the two legs of a triangle.
    """
    down = images.diff(dim=2).abs().sum(dim=(1, 2, 3))
    across = images.diff(dim=3).abs().sum(dim=(1, 2, 3))
    edges = torch.hypot(down, across).clamp(min=1)
    return (images.sum(dim=(1, 2, 3)) / edges).clamp(0.6, 2.5)


def ends(images: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
    """Return the middle of the pen where it is highest and where it is lowest: two of shape (N, 2)."""
    has_ink = (images[:, 0] > 0.3).any(dim=2).float()
    top = has_ink.argmax(dim=1)
    bottom = SIDE - 1 - has_ink.flip(1).argmax(dim=1)
    return (
        torch.stack([top + width, _column_of(images, top + 1)], dim=1),
        torch.stack([bottom - width, _column_of(images, bottom - 1)], dim=1),
    )


def _column_of(images: Tensor, rows: Tensor) -> Tensor:
    """Return where the ink of one row of each image has its mean, shape (N,)."""
    rows = rows.long().clamp(0, SIDE - 1)
    ink = images[torch.arange(len(images), device=images.device), 0, rows]
    ink = ink * (ink > 0.3)
    return (ink * _pixels(images)).sum(dim=1) / ink.sum(dim=1).clamp(min=1e-6)


def draw(images: Tensor, points: list[Tensor], half_width: Tensor) -> Tensor:
    """Draw into each image the line through some points, with round ends and smooth edges.

    Parameters
    ----------
    images
        Shape (N, 1, 28, 28).
    points
        Each of shape (N, 2).
    half_width
        Shape (N,), in pixels.
    """
    pixels = _pixels(images)
    grid = torch.stack(torch.meshgrid(pixels, pixels, indexing="ij"), dim=2)  # (28, 28, 2)
    path = torch.stack(points, dim=1)[:, :, None, None]  # (N, points, 1, 1, 2)
    start, way = path[:, :-1], path.diff(dim=1)
    share = ((grid - start) * way).sum(dim=-1) / way.square().sum(dim=-1).clamp(min=1e-6)
    nearest = start + share.clamp(0, 1)[..., None] * way
    distance = (grid - nearest).norm(dim=-1).amin(dim=1)  # (N, 28, 28)
    ink = (half_width[:, None, None] + 0.5 - distance).clamp(0, 1)
    return torch.maximum(images, ink[:, None])


def distort(images: Tensor, generator: Generator) -> Tensor:
    """Turn, stretch and slant each image a little, and bend it: 8 degrees, 12 %, 0.15 and 0.2 at most.

    The bend adds a square of the position, from -1 to 1 across the image, to the position: along an axis it makes one
    half of a digit larger and the other smaller, across the axes it curves straight lines.
    """
    uniform = partial(_uniform, generator, images)
    angle, slant = uniform(-8, 8).deg2rad(), uniform(-0.15, 0.15)
    wide, high = uniform(-0.12, 0.12).exp(), uniform(-0.12, 0.12).exp()
    cos, sin = angle.cos(), angle.sin()
    x_row = torch.stack([cos * wide, (cos * slant - sin) * high], dim=1)
    y_row = torch.stack([sin * wide, (sin * slant + cos) * high], dim=1)
    bend = torch.stack([uniform(-0.2, 0.2) for _ in range(4)], dim=1).view(-1, 2, 2)

    middles = (_pixels(images) + 0.5) * 2 / SIDE - 1
    grid = torch.stack(torch.meshgrid(middles, middles, indexing="xy"), dim=2).view(-1, 2)  # (784, 2) of (x, y)
    grid = grid @ torch.stack([x_row, y_row], dim=2)  # (N, 784, 2)
    grid = grid + grid.square() @ bend
    return F.grid_sample(images, grid.view(-1, SIDE, SIDE, 2), align_corners=False)


def thicken(images: Tensor, generator: Generator) -> Tensor:
    """Make the strokes of half of the images broader or finer, with edges as sharp as they were.

    Blurred, a stroke is a ridge. Cut low it is broad, cut high it is fine.
    """
    uniform = partial(_uniform, generator, images)
    weights = torch.exp(-torch.arange(-2, 3, device=images.device).square() / (2 * 0.8**2))
    weights = weights / weights.sum()
    blurred = F.conv2d(images, weights.view(1, 1, 5, 1), padding=(2, 0))
    blurred = F.conv2d(blurred, weights.view(1, 1, 1, 5), padding=(0, 2))
    level = uniform(0.2, 0.55).view(-1, 1, 1, 1)
    cut = ((blurred - level) / 0.3 + 0.5).clamp(0, 1)
    cut = cut / cut.amax(dim=(2, 3), keepdim=True).clamp(min=0.5)  # as MNIST's: the darkest pixel is full ink
    return torch.where((uniform(0, 1) < THICKENED).view(-1, 1, 1, 1), cut, images)


def recentre(images: Tensor) -> Tensor:
    """Move each image by whole pixels so that its centre of mass is at the centre.

    Drawings are centred in the same way, by `cnnlab.drawing.preparation.centre`.
    """
    pixels = _pixels(images)
    mass = images.sum(dim=(1, 2, 3)).clamp(min=1e-6)
    firsts = []
    for other in (3, 2):  # the axis to sum over
        centre = (images.sum(dim=(1, other)) * pixels).sum(dim=1) / mass
        # MNIST's centres lie in (13.5, 14.5].
        move = torch.floor(SIDE / 2 + 0.5 - centre).clamp(-MARGIN, MARGIN).long()
        firsts.append(MARGIN - move)
    return _cut(F.pad(images, [MARGIN] * 4), *firsts)


def _cut(padded: Tensor, first_rows: Tensor, first_columns: Tensor) -> Tensor:
    """Cut 28 × 28 pixels out of each image, shape (N, 1, H, W), from its own row and column on, shapes (N,)."""
    side = torch.arange(SIDE, device=padded.device)
    rows, columns = first_rows[:, None] + side, first_columns[:, None] + side  # (N, 28)
    batch = torch.arange(len(padded), device=padded.device)
    return padded[batch[:, None, None], 0, rows[:, :, None], columns[:, None, :]][:, None]


def _pixels(like: Tensor) -> Tensor:
    return torch.arange(SIDE, dtype=torch.float32, device=like.device)


def _direction(degrees: Tensor) -> Tensor:
    """Return unit vectors (y, x), shape (N, 2): 0 is to the right, 90 is down."""
    angle = degrees.deg2rad()
    return torch.stack([angle.sin(), angle.cos()], dim=1)


def _uniform(generator: Generator, like: Tensor, low: float, high: float) -> Tensor:
    """Return one random number for each image of a batch, shape (N,)."""
    return (low + (high - low) * torch.rand(len(like), generator=generator)).to(like.device)
