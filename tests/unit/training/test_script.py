import gzip
import inspect
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from cnnlab.data import mnist as data
from cnnlab.drawing.pen import load_pen_data
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.models.sources import read_definition
from cnnlab.training.events import EpochEvent
from cnnlab.training.loop import train
from cnnlab.training.recipe import PRESETS, TrainingConfig
from cnnlab.training.script import training_script
from cnnlab.wording import percent

pytestmark = pytest.mark.slow


class Dropping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(784, 10)

    def forward(self, x):
        return self.linear(nn.functional.dropout(x.flatten(1), 0.5, self.training))


@pytest.fixture
def first_images(tmp_path):
    """Put the first 2,000 training and 500 test images where torchvision looks for MNIST, and return them."""
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for which, count in (("train", 2_000), ("t10k", 500)):
        for kind, header, size in (("images-idx3", 16, 784), ("labels-idx1", 8, 1)):
            content = gzip.decompress((data.ARCHIVES / f"{which}-{kind}-ubyte.gz").read_bytes())
            shortened = content[:4] + count.to_bytes(4, "big") + content[8 : header + count * size]
            (raw / f"{which}-{kind}-ubyte").write_bytes(shortened)
    return data.load().first(train=2_000, test=500)


def printed_by_script(source, config, folder, learning_rates=None):
    script = training_script(source, config, learning_rates)
    (folder / "script.py").write_text("from torch import nn\n" + script)
    place = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}  # of the lab, where a script needs it
    ended = subprocess.run(
        [sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, check=True, env=place
    )
    return ended.stdout.splitlines()


def rows(events):
    return [
        f"{event.epoch}\t{event.train_loss}\t{event.test_loss}\t{percent(event.test_accuracy)}"
        for event in events
        if isinstance(event, EpochEvent)
    ]


@pytest.mark.parametrize("schedule", ["constant", "one-cycle"])
def test_the_script_repeats_learning_rates_that_were_set_while_the_run_trained(schedule, first_images, tmp_path):
    config = TrainingConfig(epochs=2, threads=1, kernels="torch", schedule=schedule)
    definition, changes = DEFINITIONS["module"], {9: 0.003, 20: 0.0001}
    expected = rows(train(definition.build(0), first_images, config, learning_rates=changes))
    assert printed_by_script(definition.source, config, tmp_path, changes)[-2:] == expected
    assert expected != rows(train(definition.build(0), first_images, config))


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("sequential", {}),
        ("module", {"optimizer": "nesterov", "shift": 1}),
        ("residual", PRESETS["drawing"] | {"data": "mnist"}),
        ("sequential", {"data": "mnist+pen", "augment": True, "shift": 1, "batch_size": 512}),
    ],
)
def test_the_script_gives_the_losses_of_the_run(name, recipe, first_images, tmp_path):
    config = TrainingConfig(**{**recipe, "epochs": 2, "seed": 7, "threads": 2, "kernels": "torch"})
    definition = DEFINITIONS[name]
    pen = load_pen_data(with_training=config.has_pen_digits)
    expected = rows(train(definition.build(config.seed), first_images, config, pen=pen))
    assert printed_by_script(definition.source, config, tmp_path)[-2:] == expected


def test_a_network_that_draws_random_numbers_draws_the_same_in_the_script(first_images, tmp_path):
    config = TrainingConfig(epochs=1, seed=3, threads=2, kernels="torch")
    torch.manual_seed(config.seed)
    expected = rows(train(Dropping(), first_images, config))
    assert printed_by_script(inspect.getsource(Dropping), config, tmp_path)[-1:] == expected


def test_the_script_leaves_out_the_images_for_validation(tmp_path):
    config = TrainingConfig(epochs=1, batch_size=1_000, threads=2, kernels="torch", validation=30_000, weight_decay=0.1)
    definition = DEFINITIONS["module"]
    expected = rows(train(definition.build(config.seed), data.load(), config))
    shutil.copytree(data.ARCHIVES, tmp_path / "data" / "MNIST" / "raw")
    assert printed_by_script(definition.source, config, tmp_path)[-1:] == expected


@pytest.mark.parametrize(
    "source",
    [
        "import torch.nn as nn\n# rows\n"
        "model = nn.Sequential(nn.Flatten(), nn.Linear(784, 20), nn.ReLU(), nn.Linear(20, 10))\n",
        "from torch import nn\nclass Rows(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.rows = nn.Sequential(OrderedDict([('fc', nn.Linear(784, 10))]))\n\n"
        "    def forward(self, x):\n        return self.rows(x.flatten(1))\n\nmodel = Rows()\n",
    ],
    ids=["a list", "a class"],
)
def test_a_network_of_ones_own_has_its_losses_in_the_script(source, first_images, tmp_path):
    config = TrainingConfig(epochs=1, seed=3, threads=2, kernels="torch")
    expected = rows(train(read_definition("mine", source).build(config.seed), first_images, config))
    assert printed_by_script(source, config, tmp_path)[-1:] == expected
