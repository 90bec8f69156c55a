"""How often photos of a digit are read rightly: photographed here, in scenes that a phone meets, and always the same.

    PYTHONPATH=. python tests/benchmarks/photos.py [--run RUN] [--seed 0] [--save FOLDER]

Each scene shows each of the ten digits twice: upright, 1200 × 1600 pixels, as a JPEG, and wide, 1600 × 1200, as a PNG.
Half of the digits are test images of MNIST, enlarged, the others are written with a pen; place, size and slant differ.
A photo that shows no digit, or two, must not be answered. The last table says how often it was.
"""

import argparse
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter

from cnnlab.data.mnist import load_test_set
from cnnlab.drawing.photos import UnreadablePicture, picture_on_canvas
from cnnlab.drawing.preparation import prepare
from cnnlab.drawing.strokes import Stroke, ink_of
from cnnlab.inference.answers import answers_of
from cnnlab.runs.folder import DRAWING_RUN
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import find_run

FORMATS = {"JPEG": (1200, 1600), "PNG": (1600, 1200)}  # width, height
NO_DIGIT, SEVERAL = -1, -2  # what the blank scenes and those with two digits show

# Each as one wrote it on a canvas of 280 by 280; a point that stands twice makes a corner.
WRITTEN: tuple[str, ...] = (
    "150,50 110,65 85,110 82,160 100,212 140,232 178,210 197,160 192,105 170,65 145,48",
    "105,95 148,55 148,55 145,140 142,232",
    "85,95 100,62 140,48 182,65 188,105 165,145 120,190 82,226 82,226 200,226",
    "85,70 130,48 182,65 180,108 125,130 125,130 187,150 197,195 150,230 82,215",
    "105,55 85,155 85,155 200,155 | 165,95 160,160 156,235",
    "105,60 97,130 97,130 150,118 192,155 182,208 135,232 80,216 | 103,60 192,58",
    "170,52 122,92 92,155 98,213 148,233 190,200 176,158 132,148 94,185",
    "80,60 198,60 198,60 160,145 130,235",
    "182,78 140,48 98,75 115,120 165,155 187,195 140,233 96,200 115,155 165,120 182,78",
    "185,88 150,52 105,72 98,120 138,140 180,112 187,85 187,85 180,160 166,235",
)


@dataclass
class Sheet:
    """A sheet of paper that lies before the camera.

    Attributes
    ----------
    colour
        Shape (height, width, 3): how much of the light each place sends back.
    light
        Shape (height, width, 1): how brightly it is lit.
    chance
        What differs between two photos of a scene.
    """

    colour: np.ndarray
    light: np.ndarray
    chance: np.random.Generator

    @property
    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """How far down and how far right each place is, from 0 to 1."""
        height, width = self.colour.shape[:2]
        return np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)[None]

    def lay(self, share: np.ndarray, colour: tuple[float, float, float]) -> None:
        """Cover a share of each place, shape (height, width), with a colour."""
        self.colour += share[..., None] * (np.array(colour, np.float32) - self.colour)


@dataclass(frozen=True)
class Pen:
    """What a digit is written with: its colour, and its width on a canvas of 280 pixels."""

    colour: tuple[float, float, float] = (0.12, 0.12, 0.16)
    width: float = 11
    roughness: float = 0  # a pencil leaves grains of paper white


PEN, PENCIL, MARKER = Pen(), Pen((0.52, 0.52, 0.53), 8, 0.5), Pen((0.1, 0.14, 0.35), 26)
CHALK = Pen((0.85, 0.85, 0.8), 13, 0.3)

Change = Callable[[Sheet], None]


@dataclass(frozen=True)
class Scene:
    """What is printed, what it is written with, what lies on it, how it is lit, and what the camera makes of it."""

    printed: tuple[Change, ...] = ()
    pen: Pen = PEN
    laid: tuple[Change, ...] = ()
    lit: tuple[Change, ...] = ()
    paper: tuple[float, float, float] = (0.93, 0.92, 0.89)
    digits: tuple[int, ...] = tuple(range(10))
    largest: float = 0.7  # of the shorter side
    blur: float = 1
    grain: float = 0.012
    turned: bool = False


def lines(sheet: Sheet, every: float = 0.035, slope: float = 0.0) -> None:
    height, width = sheet.colour.shape[:2]
    step = every * max(height, width)
    down = np.arange(height)[:, None] + slope * np.arange(width)[None]
    sheet.lay(_line((down + 0.5 * step) % step, 3), (0.6, 0.72, 0.88))


def slanted_lines(sheet: Sheet) -> None:
    lines(sheet, slope=sheet.chance.uniform(-0.07, 0.07))


def squares(sheet: Sheet, colour: tuple[float, float, float] = (0.35, 0.36, 0.42)) -> None:
    height, width = sheet.colour.shape[:2]
    step = 0.04 * max(height, width)
    slope = sheet.chance.uniform(-0.02, 0.02)
    down, right = np.arange(height)[:, None], np.arange(width)[None]
    sheet.lay(np.maximum(_line((down + slope * right) % step, 3), _line((right - slope * down) % step, 3)), colour)


def margin(sheet: Sheet) -> None:
    right = np.arange(sheet.colour.shape[1])[None]
    share = _line(right - sheet.chance.uniform(0.08, 0.16) * right.max(), 4)
    sheet.lay(np.broadcast_to(share, sheet.colour.shape[:2]), (0.85, 0.35, 0.38))


def _line(distance: np.ndarray, width: float) -> np.ndarray:
    return ((width + 1) / 2 - np.abs(distance - width)).clip(0, 1)


def gradient(sheet: Sheet) -> None:
    down, right = sheet.places
    angle = sheet.chance.uniform(0, 2 * np.pi)
    along = np.cos(angle) * (down - 0.5) + np.sin(angle) * (right - 0.5)
    sheet.light *= (0.68 + 0.45 * along).clip(0.2)[..., None]


def vignette(sheet: Sheet) -> None:
    down, right = sheet.places
    sheet.light *= (1 - 1.2 * ((down - 0.5) ** 2 + (right - 0.5) ** 2))[..., None]


def soft_shadow(sheet: Sheet) -> None:
    down, right = sheet.places
    angle, edge = sheet.chance.uniform(0, 2 * np.pi), sheet.chance.uniform(-0.25, 0.1)
    along = np.cos(angle) * (down - 0.5) + np.sin(angle) * (right - 0.5)
    sheet.light *= (1 - 0.45 / (1 + np.exp((along - edge) / 0.02)))[..., None]


def glare(sheet: Sheet) -> None:
    down, right = sheet.places
    y, x = sheet.chance.uniform(0.15, 0.85, 2)
    sheet.light += 0.8 * np.exp(-((down - y) ** 2 + (right - x) ** 2) / 0.012)[..., None]


def desk(sheet: Sheet) -> None:
    down, right = sheet.places
    side = sheet.chance.integers(4)
    edge = sheet.chance.uniform(0.08, 0.16) + sheet.chance.uniform(-0.04, 0.04) * (right if side < 2 else down)
    from_edge = (down - edge, 1 - edge - down, right - edge, 1 - edge - right)[side]
    wood = 1 + 0.15 * np.sin(60 * (down if side > 1 else right) + 9 * sheet.chance.uniform())
    is_desk = np.broadcast_to(from_edge < 0, sheet.colour.shape[:2]).astype(np.float32)
    sheet.lay(is_desk, (0.42, 0.28, 0.18))
    sheet.colour *= 1 + is_desk[..., None] * (wood[..., None] - 1)


def desk_all_round(sheet: Sheet) -> None:
    down, right = sheet.places
    outside = np.maximum(np.abs(down - 0.5), np.abs(right - 0.5)) > 0.42
    sheet.lay(outside.astype(np.float32), (0.35, 0.25, 0.18))


def thumb(sheet: Sheet) -> None:
    image = Image.new("L", sheet.colour.shape[1::-1])
    width, height = image.size
    tip = sheet.chance.uniform(0.14, 0.2) * min(width, height)
    x, y = sheet.chance.integers(0, 2, 2) * (width, height)
    inward = np.array([1 if x == 0 else -1, 1 if y == 0 else -1]) * tip
    pen = ImageDraw.Draw(image)
    pen.line([(x - inward[0], y - inward[1]), (x + inward[0] / 2, y + inward[1])], fill=255, width=round(1.1 * tip))
    pen.circle((x + inward[0] / 2, y + inward[1]), 0.55 * tip, fill=255)
    share = np.asarray(image.filter(ImageFilter.GaussianBlur(2)), np.float32) / 255
    sheet.lay(share, (0.78, 0.55, 0.45))


def specks(sheet: Sheet) -> None:
    height, width = sheet.colour.shape[:2]
    image = Image.new("L", (width, height))
    pen = ImageDraw.Draw(image)
    for _ in range(sheet.chance.integers(3, 9)):
        pen.circle(tuple(sheet.chance.uniform(0.03, 0.97, 2) * (width, height)), sheet.chance.uniform(3, 12), fill=255)
    sheet.lay(np.asarray(image, np.float32) / 255, (0.3, 0.28, 0.25))


def page_number(sheet: Sheet) -> None:
    side = max(sheet.colour.shape) // 24
    page = np.concatenate([_written(digit, 14) for digit in sheet.chance.integers(1, 10, 2)], axis=1)
    _put(sheet, np.asarray(Image.fromarray(page).resize((2 * side, side))), PEN, (0.82, 0.93))


def frame(sheet: Sheet) -> None:
    for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        sheet.colour[edge] = 0.3


WHITE = (1.0, 1.0, 1.0)
SCENES = {
    "even light": Scene(),
    "gradient": Scene(lit=(gradient,)),
    "vignette": Scene(lit=(vignette,)),
    "soft shadow": Scene(lit=(soft_shadow,)),
    "blue lines": Scene(printed=(lines,)),
    "slanted lines": Scene(printed=(slanted_lines,)),
    "squares": Scene(printed=(squares,)),
    "red margin": Scene(printed=(lines, margin)),
    "desk": Scene(laid=(desk,)),
    "desk all round": Scene(laid=(desk_all_round,), largest=0.55),
    "thumb": Scene(laid=(thumb,), largest=0.55),
    "glare": Scene(lit=(glare,), paper=(0.8, 0.8, 0.78)),
    "specks, page number": Scene(printed=(specks, page_number), largest=0.6),
    "blur": Scene(blur=9, lit=(gradient,)),
    "pencil": Scene(pen=PENCIL, lit=(gradient,)),
    "marker": Scene(pen=MARKER, lit=(vignette,)),
    "turned camera": Scene(turned=True, lit=(soft_shadow,)),
    "screenshot with a frame": Scene(paper=WHITE, printed=(frame,), blur=0, grain=0),
    "chalk on a board": Scene(paper=(0.15, 0.24, 0.2), pen=CHALK, lit=(gradient,)),
    "pencil, lines, desk, shadow": Scene((lines, margin), PENCIL, (desk,), (soft_shadow,)),
    "blank": Scene(digits=(NO_DIGIT,), lit=(gradient,)),
    "blank, lines": Scene(digits=(NO_DIGIT,), printed=(slanted_lines, margin), lit=(vignette,)),
    "blank, squares": Scene(digits=(NO_DIGIT,), printed=(squares,), lit=(soft_shadow,)),
    "blank, desk and specks": Scene(digits=(NO_DIGIT,), printed=(specks,), laid=(desk,)),
    "blank, thumb": Scene(digits=(NO_DIGIT,), laid=(thumb,), lit=(glare,), paper=(0.8, 0.8, 0.78)),
    "two digits": Scene(digits=(SEVERAL,), lit=(gradient,), largest=0.4),
}


@dataclass(frozen=True)
class Photo:
    """A photo of a scene: the digit that is on it, or NO_DIGIT or SEVERAL, and the file."""

    scene: str
    shown: int
    content: bytes = field(repr=False)


def photos(seed: int, scenes: dict[str, Scene] = SCENES) -> Iterator[Photo]:
    """Photograph scenes. The same seed gives the same files."""
    for name, scene in scenes.items():
        for number, digit in enumerate(scene.digits * (10 // len(scene.digits))):
            for position, kind in enumerate(FORMATS):
                chance = np.random.default_rng([seed, crc32(name.encode()), number, position])
                yield Photo(name, digit, _photograph(scene, digit, (number + position) % 2 == 0, kind, chance))


def _photograph(scene: Scene, digit: int, is_mnist: bool, kind: str, chance: np.random.Generator) -> bytes:
    width, height = FORMATS[kind]
    sheet = Sheet(np.full((height, width, 3), scene.paper, np.float32), np.ones((height, width, 1), np.float32), chance)
    for change in scene.printed:
        change(sheet)
    side = chance.uniform(0.6, 1) * scene.largest * min(width, height)
    middle = chance.uniform(-0.5, 0.5, 2) * (1 - scene.largest) * 0.6 * min(width, height) / (height, width) + 0.5
    if digit == SEVERAL:
        apart = (0.5, 0.27) if height > width else (0.27, 0.5)
        for place in (np.array(apart), 1 - np.array(apart)):
            _put(
                sheet, _slanted(_ink(chance.integers(10), is_mnist, scene.pen, chance), side, chance), scene.pen, place
            )
    elif digit != NO_DIGIT:
        _put(sheet, _slanted(_ink(digit, is_mnist, scene.pen, chance), side, chance), scene.pen, middle)
    for change in scene.laid + scene.lit:
        change(sheet)
    seen = sheet.colour * sheet.light
    seen += scene.grain * chance.standard_normal(seen.shape[:2], np.float32)[..., None]
    image = Image.fromarray((seen.clip(0, 1) * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(scene.blur))
    exif = Image.Exif()
    if scene.turned:
        image, exif[0x0112] = image.transpose(Image.Transpose.ROTATE_90), 6  # the top is on the right
    content = io.BytesIO()
    image.save(content, kind, exif=exif, **({"quality": 85} if kind == "JPEG" else {"compress_level": 1}))
    return content.getvalue()


def _ink(digit: int, is_mnist: bool, pen: Pen, chance: np.random.Generator) -> np.ndarray:
    """Return a digit's ink, cropped: shape (h, w), float32, from 0 to 1."""
    return _cropped(_enlarged(digit, chance) if is_mnist else _written(digit, pen.width * chance.uniform(0.8, 1.2)))


def _enlarged(digit: int, chance: np.random.Generator) -> np.ndarray:
    images, labels = load_test_set()
    image = images[chance.choice(np.flatnonzero(labels.numpy() == digit)[:100]), 0].numpy()
    large = Image.fromarray(image).resize((560, 560), Image.Resampling.BICUBIC)
    return ((np.asarray(large) - 0.5) * 5 + 0.5).clip(0, 1)


def _written(digit: int, width: float) -> np.ndarray:
    strokes = [[tuple(map(float, point.split(","))) for point in line.split()] for line in WRITTEN[digit].split(" | ")]
    return ink_of([Stroke(width, tuple((x, y) for x, y in stroke)) for stroke in strokes])


def _cropped(ink: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _slanted(ink: np.ndarray, side: float, chance: np.random.Generator) -> np.ndarray:
    """Turn and shear ink a little, and give its longer side a length."""
    image = Image.fromarray(np.pad(ink, max(ink.shape) // 2)).rotate(chance.uniform(-6, 6), Image.Resampling.BICUBIC)
    shear = chance.uniform(-0.12, 0.12)
    sheared = image.transform(
        image.size, Image.Transform.AFFINE, (1, shear, -shear * image.height / 2, 0, 1, 0), Image.Resampling.BICUBIC
    )
    slanted = Image.fromarray(_cropped(np.asarray(sheared).clip(0, 1)))
    scale = side / max(slanted.size)
    return np.asarray(
        slanted.resize((max(1, round(slanted.width * scale)), max(1, round(slanted.height * scale)))), np.float32
    ).clip(0, 1)


def _put(sheet: Sheet, ink: np.ndarray, pen: Pen, middle: tuple[float, float] | np.ndarray) -> None:
    share = np.zeros(sheet.colour.shape[:2], np.float32)
    top, left = (np.array(middle) * share.shape - np.array(ink.shape) / 2).astype(int).clip(0)
    share[top : top + ink.shape[0], left : left + ink.shape[1]] = ink[: share.shape[0] - top, : share.shape[1] - left]
    if pen.roughness:
        coarse = sheet.chance.uniform(1 - pen.roughness, 1, (share.shape[0] // 2, share.shape[1] // 2))
        share *= coarse.astype(np.float32).repeat(2, axis=0).repeat(2, axis=1)
    sheet.lay(share, pen.colour)


def answered(run: Run, content: bytes) -> int | None:
    """Return what a run answers to a photo, or None if the lab says that there is nothing to answer."""
    try:
        preparation = prepare(picture_on_canvas(content))
    except UnreadablePicture:
        return None
    return None if preparation is None else answers_of(run, preparation.centred[None])[0].digit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", default=DRAWING_RUN, help="the run that answers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=list(SCENES), metavar="SCENE")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="keep the photos there, to look at")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    run = find_run(arguments.run)
    right_of_all, asked, unanswered, must_not, seconds = 0, 0, 0, 0, []
    print("| scene | right |\n|---|---|")
    taken = photos(arguments.seed, {name: SCENES[name] for name in arguments.scenes})
    for scene, group in groupby(taken, key=lambda photo: photo.scene):
        shown, given = [], []
        for number, photo in enumerate(group):
            if arguments.save:
                arguments.save.mkdir(parents=True, exist_ok=True)
                (arguments.save / f"{scene} {number} {photo.shown}").write_bytes(photo.content)
            start = time.perf_counter()
            given.append(answered(run, photo.content))
            seconds.append(time.perf_counter() - start)
            shown.append(photo.shown)
        if min(shown) < 0:
            refused = given.count(None)
            unanswered, must_not = unanswered + refused, must_not + len(shown)
            print(f"| {scene} | {refused} of {len(shown)} not answered |", flush=True)
        else:
            right = sum(digit == answer for digit, answer in zip(shown, given, strict=True))
            right_of_all, asked = right_of_all + right, asked + len(shown)
            print(f"| {scene} | {right} of {len(shown)} |", flush=True)
    if asked:
        print(f"| **all with a digit** | **{right_of_all} of {asked}, {100 * right_of_all / asked:.1f} %** |")
    if must_not:
        print(f"| **all with none or two** | **{unanswered} of {must_not} not answered** |")
    print(f"\nA photo is read and answered in {1000 * np.median(seconds):.0f} ms (median).")


if __name__ == "__main__":
    main()
