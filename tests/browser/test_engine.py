"""The browser's engine and its preparation, held against PyTorch and Python in Chromium."""

import base64
import json
import random
import zlib
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cnnlab.data.mnist import load_test_set
from cnnlab.data.pen_digits import TEST_BRUSHES, load_strokes
from cnnlab.drawing.pen import centred
from cnnlab.drawing.preparation import prepare, shrink
from cnnlab.drawing.strokes import CANVAS_SIDE, Stroke, ink_of
from cnnlab.engine.export import export
from cnnlab.inference.networks import newest_network_of
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import reference_runs

pytestmark = pytest.mark.browser
ENGINE = Path(__file__).parents[2] / "cnnlab" / "engine"

# Numbers travel packed, as addresses: as lists or plain bytes they would take longer than what is tested.
_TRAVEL = """
  const unpacked = async (address) => {
    const packed = (await fetch(address)).body;
    return new Response(packed.pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
  };
  const asAddress = (parts) => new Promise((done) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.readAsDataURL(new Blob(parts));
  });
"""

_ANSWERS = """
async ([source, layers, weights, images]) => {
  const { networkOf } = await import(source);
  const network = networkOf(layers, new Float32Array(await unpacked(weights)));
  const greys = new Uint8Array(await unpacked(images));
  const answers = [];
  for (let start = 0; start < greys.length; start += 784) {
    const image = new Float32Array(784);
    for (let i = 0; i < 784; i++) image[i] = greys[start + i] / 255;
    answers.push(network(image).at(-1));
  }
  return asAddress(answers);
}
""".replace("{\n", "{" + _TRAVEL, 1)

_PREPARED = """
async ([source, inks]) => {
  const { prepare, shrink } = await import(source);
  const bytes = new Uint8Array(await unpacked(inks));
  const nothing = new Float32Array(784).fill(NaN);
  const prepared = [];
  for (let start = 0; start < bytes.length; start += 280 * 280) {
    const ink = new Float32Array(280 * 280);
    for (let i = 0; i < ink.length; i++) ink[i] = bytes[start + i] / 255;
    const steps = prepare(ink, 280);
    prepared.push(...(steps ? [steps.centred, shrink(steps.drawn, 280)] : [nothing, nothing]));
  }
  return asAddress(prepared);
}
""".replace("{\n", "{" + _TRAVEL, 1)


def address_of(name):
    """Return a module's text as an address that can be imported."""
    return f"data:text/javascript;base64,{base64.b64encode((ENGINE / name).read_bytes()).decode()}"


def packed(content):
    return f"data:application/octet-stream;base64,{base64.b64encode(zlib.compress(content, level=1)).decode()}"


def floats_from(address):
    return np.frombuffer(base64.b64decode(address.partition(",")[2]), "<f4")


@pytest.fixture(scope="module")
def page(browser):
    opened = browser.new_page()
    yield opened
    opened.close()


def logits_in_browser(page, module, images):
    exported = export(module)
    layers = json.loads(json.dumps(exported.layers))  # as it travels
    greys = (images.numpy() * 255).round().astype(np.uint8)  # a quarter of what floats would take to send
    given = [address_of("engine.js"), layers, packed(exported.weights), packed(greys.tobytes())]
    return floats_from(page.evaluate(_ANSWERS, given)).reshape(-1, 10)


def logits_of(module, images):
    module.eval()
    with torch.no_grad():
        return module(images).numpy()


def assert_alike(ours, theirs, bound=1e-3, about=""):
    """Assert that no logit is further from PyTorch's than a bound, and no answer another where it tells two apart."""
    assert np.abs(ours - theirs).max() <= bound, about
    second, highest = np.sort(theirs, axis=1)[:, -2:].T
    is_clear = highest - second > bound
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1))[is_clear].all(), about


@pytest.mark.parametrize("run", reference_runs(), ids=lambda run: run.id)
def test_a_shipped_network_answers_as_pytorch_does_on_the_whole_test_set(run, page):
    images, _ = load_test_set()
    module = newest_network_of(run).module
    assert_alike(logits_in_browser(page, module, images), logits_of(module, images))


def test_a_network_with_a_branch_answers_as_pytorch_does(page):
    images, _ = load_test_set()
    module = DEFINITIONS["residual"].build(3)
    assert_alike(logits_in_browser(page, module, images[:1000]), logits_of(module, images[:1000]))


def random_network(seed):
    """Return a network of layers, shapes and branches that a seed decides."""
    chance = random.Random(seed)
    torch.manual_seed(seed)
    return RandomNetwork(chance)


class RandomNetwork(nn.Module):
    def __init__(self, chance):
        super().__init__()
        self.layers, self.joins = nn.ModuleList(), []
        channels, height, width = 1, 28, 28
        for _ in range(chance.randint(2, 6)):
            layer, join = self.layer(chance, channels, height, width)
            given = torch.zeros(2, channels, height, width)
            _, channels, height, width = self.joined(join, layer, given).shape
            self.layers.append(layer)
            self.joins.append(join)
        hidden = chance.randint(5, 40)
        activation = chance.choice([nn.ReLU, nn.Tanh, nn.GELU, nn.SiLU, nn.Sigmoid])
        norm = chance.choice([nn.Identity, nn.Dropout, lambda: nn.BatchNorm1d(hidden)])
        size = channels * height * width
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(size, hidden), norm(), activation(), nn.Linear(hidden, 10))
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)

    @staticmethod
    def layer(chance, channels, height, width):
        size = chance.choice([1, 2, 3, 5]) if min(height, width) >= 6 else 1
        small = min(height, width) < 4
        kinds = [
            lambda: nn.Conv2d(channels, chance.choice([2, 4, 6]), size, chance.choice([1, 2]), size // 2),
            lambda: nn.Conv2d(channels, 4, (size, 1), padding=(0, 1), bias=False),
            lambda: nn.Conv2d(channels, 2 * channels, 3, padding=2, dilation=2, groups=channels),
            lambda: nn.Conv2d(channels, channels, 3, padding="same"),
            lambda: nn.BatchNorm2d(channels),
            lambda: nn.GroupNorm(1, channels),
            lambda: nn.ZeroPad2d((1, 0, 2, 1)),
            lambda: chance.choice([nn.ReLU, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid])(),
            lambda: nn.GELU(approximate="tanh"),
            lambda: nn.AdaptiveAvgPool2d((min(height, 5), min(width, 7))),
            lambda: nn.AdaptiveMaxPool2d(min(height, width, 6)),
            *([] if small else [lambda: nn.MaxPool2d(2), lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True)]),
            *(
                []
                if small
                else [lambda: nn.AvgPool2d(2, padding=1), lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False)]
            ),
        ]
        layer = chance.choice(kinds)()
        keeps_shape = layer(torch.zeros(2, channels, height, width)).shape == (2, channels, height, width)
        return layer, chance.choice(["none", "add", "cat"] if keeps_shape and channels < 12 else ["none"])

    @staticmethod
    def joined(join, layer, x):
        match join:
            case "add":
                return x + F.relu(layer(x))
            case "cat":
                return torch.cat([x, layer(x)], dim=1)
            case _:
                return layer(x)

    def forward(self, x):
        for join, layer in zip(self.joins, self.layers, strict=True):
            x = self.joined(join, layer, x)
        return self.head(x)


@pytest.mark.parametrize("first_seed", range(0, 60, 10))
def test_random_networks_answer_as_pytorch_does(first_seed, page, soak):
    images, _ = load_test_set()
    count = 1000 if soak else 100
    for seed in range(first_seed, first_seed + 10):
        module = random_network(seed)
        ours, theirs = logits_in_browser(page, module, images[:count]), logits_of(module, images[:count])
        assert_alike(ours, theirs, 1e-3 * max(1, np.abs(theirs).max()), f"seed {seed}: {module}")


def random_strokes(chance):
    points = [(chance.uniform(40, 240), chance.uniform(40, 240))]
    for _ in range(chance.randint(2, 30)):
        x, y = points[-1]
        points.append((min(max(x + chance.uniform(-40, 40), 10), 270), min(max(y + chance.uniform(-40, 40), 10), 270)))
    return [Stroke(chance.choice([6, 10, 20, 30]), tuple(points))]


def prepared_in_browser(page, inks):
    """Return drawings prepared and shrunk, shape (N, 2, 28, 28); NaN where there is nothing to prepare."""
    sent = page.evaluate(_PREPARED, [address_of("preparation.js"), packed(np.stack(inks).tobytes())])
    return floats_from(sent).reshape(-1, 2, 28, 28)


def prepared_by_python(ink):
    steps = prepare(ink)
    return np.full((2, 28, 28), np.nan, np.float32) if steps is None else np.stack([steps.centred, shrink(steps.drawn)])


def assert_prepared_alike(ours, theirs):
    """Assert that 99.9 % of the pixels are within a grey level, and that nothing is where nothing is drawn."""
    assert (np.isnan(ours) == np.isnan(theirs)).all()
    assert (np.abs(ours - theirs) * 255 > 1).mean() <= 0.001


def test_scribbles_are_prepared_as_python_prepares_them(page):
    chance = random.Random(0)
    inks = [(ink_of(random_strokes(chance)) * 255).round().astype(np.uint8) for _ in range(300)]
    inks += [np.zeros((280, 280), np.uint8), (ink_of([Stroke(20, ((140, 140), (141, 140)))]) * 255).astype(np.uint8)]
    found = prepared_in_browser(page, inks)
    assert np.isnan(found[-2:]).all()
    assert_prepared_alike(found, np.stack([prepared_by_python(ink) for ink in inks]))


def ink_of_digit(strokes, brush):
    """Return the pixels of a pen digit, drawn in the middle of the canvas."""
    on_canvas = [stroke * 180 + CANVAS_SIDE / 2 for stroke in centred(strokes)]
    drawn = ink_of([Stroke(brush, tuple(map(tuple, stroke.tolist()))) for stroke in on_canvas])
    return (drawn * 255).round().astype(np.uint8)


def test_digits_that_people_wrote_are_prepared_as_python_prepares_them(page):
    digits = load_strokes("testing").first(2000)
    inks = list(map(ink_of_digit, digits.strokes, cycle(TEST_BRUSHES)))
    ours = np.concatenate([prepared_in_browser(page, inks[start : start + 500]) for start in range(0, 2000, 500)])
    theirs = np.stack([prepared_by_python(ink) for ink in inks])
    assert len(ours) == 2000
    assert_prepared_alike(ours, theirs)
    for run in reference_runs():
        answers = [
            logits_of(newest_network_of(run).module, torch.from_numpy(each[:, :1])).argmax(axis=1)
            for each in (ours, theirs)
        ]
        assert (answers[0] != answers[1]).mean() <= 0.001, run.id
