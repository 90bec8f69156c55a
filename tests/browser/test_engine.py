"""The browser's engine and its preparation, held against PyTorch and Python in Chromium."""

import base64
import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cnnlab.data.mnist import load_test_set
from cnnlab.drawing.preparation import prepare, shrink
from cnnlab.drawing.strokes import Stroke, ink_of
from cnnlab.engine.export import export
from cnnlab.inference.networks import newest_network_of
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import reference_runs

pytestmark = pytest.mark.browser
ENGINE = Path(__file__).parents[2] / "cnnlab" / "engine"

_ANSWERS = """
async ([source, layers, weights, images]) => {
  const { networkOf } = await import(source);
  const bytes = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const network = networkOf(layers, new Float32Array(bytes(weights).buffer));
  const all = Float32Array.from(bytes(images), (grey) => grey / 255);
  const answers = [];
  for (let start = 0; start < all.length; start += 784) {
    answers.push(...network(all.subarray(start, start + 784)).at(-1));
  }
  return answers;
}
"""

_PREPARED = """
async ([source, inks]) => {
  const { prepare, shrink } = await import(source);
  return inks.map((text) => {
    const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
    const steps = prepare(Float32Array.from(bytes, (each) => each / 255), 280);
    return steps && [Array.from(steps.centred), Array.from(shrink(steps.drawn, 280))];
  });
}
"""


def address_of(name):
    """Return a module's text as an address that can be imported."""
    return f"data:text/javascript;base64,{base64.b64encode((ENGINE / name).read_bytes()).decode()}"


def text_of(numbers):
    return base64.b64encode(np.ascontiguousarray(numbers)).decode()


@pytest.fixture(scope="module")
def page(browser):
    opened = browser.new_page()
    yield opened
    opened.close()


def logits_in_browser(page, module, images):
    exported = export(module)
    layers = json.loads(json.dumps(exported.layers))  # as it travels
    given = [address_of("engine.js"), layers, base64.b64encode(exported.weights).decode()]
    greys = (images.numpy() * 255).round().astype(np.uint8)  # a quarter of what floats would take to send
    return np.array(page.evaluate(_ANSWERS, [*given, text_of(greys)])).reshape(-1, 10)


def logits_of(module, images):
    module.eval()
    with torch.no_grad():
        return module(images).numpy()


@pytest.mark.parametrize("run", reference_runs(), ids=lambda run: run.id)
def test_a_shipped_network_answers_as_pytorch_does_on_the_whole_test_set(run, page):
    images, _ = load_test_set()
    module = newest_network_of(run).module
    ours, theirs = logits_in_browser(page, module, images), logits_of(module, images)
    assert np.abs(ours - theirs).max() < 1e-3
    highest = np.sort(theirs, axis=1)
    is_clear = highest[:, -1] - highest[:, -2] > 1e-3
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1))[is_clear].all()


def test_a_network_with_a_branch_answers_as_pytorch_does(page):
    images, _ = load_test_set()
    module = DEFINITIONS["residual"].build(3)
    assert np.abs(logits_in_browser(page, module, images[:1000]) - logits_of(module, images[:1000])).max() < 1e-3


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
        assert np.abs(ours - theirs).max() <= 1e-3 * max(1, np.abs(theirs).max()), f"seed {seed}: {module}"


def random_strokes(chance):
    points = [(chance.uniform(40, 240), chance.uniform(40, 240))]
    for _ in range(chance.randint(2, 30)):
        x, y = points[-1]
        points.append((min(max(x + chance.uniform(-40, 40), 10), 270), min(max(y + chance.uniform(-40, 40), 10), 270)))
    return [Stroke(chance.choice([6, 10, 20, 30]), tuple(points))]


def test_drawings_are_prepared_as_python_prepares_them(page):
    chance = random.Random(0)
    inks = [(ink_of(random_strokes(chance)) * 255).round().astype(np.uint8) for _ in range(300)]
    inks += [np.zeros((280, 280), np.uint8), (ink_of([Stroke(20, ((140, 140), (141, 140)))]) * 255).astype(np.uint8)]
    found = page.evaluate(_PREPARED, [address_of("preparation.js"), [text_of(ink) for ink in inks]])
    differing = pixels = 0
    for ink, ours in zip(inks, found, strict=True):
        theirs = prepare(ink)
        if theirs is None:
            assert ours is None
            continue
        for one, other in zip(ours, (theirs.centred, shrink(theirs.drawn)), strict=True):
            difference = np.abs(np.array(one).reshape(28, 28) - other) * 255
            differing += int((difference > 1).sum())
            pixels += difference.size
    assert found[-2:] == [None, None]
    assert differing <= pixels / 1000
