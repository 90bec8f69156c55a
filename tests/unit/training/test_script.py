import shutil
import subprocess
import sys

import pytest

from cnnlab.data import mnist as data
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.training.events import EpochEvent
from cnnlab.training.loop import train
from cnnlab.training.recipe import PRESETS, TrainingConfig
from cnnlab.training.script import training_script
from cnnlab.wording import percent


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("sequential", {}),
        ("module", {"optimizer": "nesterov", "weight_decay": 1e-3, "shift": 1, "validation": 20_000}),
        ("residual", PRESETS["drawing"]),
    ],
)
def test_the_script_gives_the_losses_of_the_run(name, recipe, tmp_path):
    config = TrainingConfig(**{**recipe, "epochs": 1, "seed": 7, "threads": 2, "kernels": "torch"})
    definition = DEFINITIONS[name]
    *_, expected = train(definition.build(config.seed), data.load(), config)
    assert isinstance(expected, EpochEvent)

    shutil.copytree(data.ARCHIVES, tmp_path / "data" / "MNIST" / "raw")
    (tmp_path / "script.py").write_text(training_script(definition.source, config))
    ended = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    row = f"1\t{expected.train_loss}\t{expected.test_loss}\t{percent(expected.test_accuracy)}"
    assert ended.stdout.splitlines()[-1] == row
