"""Trains the reference runs that ship with the lab, with its own command, and puts them into its assets.

    PYTHONPATH=. python tests/benchmarks/reference_runs.py [NAME...]

A minute or two for each run.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cnnlab.inference.test_set import predictions_of
from cnnlab.runs.folder import REFERENCE_RUNS
from cnnlab.runs.run import Run

RECIPES = {
    "sequential": ["--model", "sequential", "--threads", "2", "--name", "Reference: nn.Sequential"],
    "module": ["--model", "module", "--threads", "2", "--name", "Reference: nn.Module"],
    "drawing": ["--preset", "drawing", "--threads", "1", "--name", "Reference: For drawing"],
}
SHIPPED_FILES = (
    "run.json",
    "name.txt",
    "events.jsonl",
    "weights.safetensors",
    "predictions.safetensors",
    "pen-predictions.safetensors",
)


def main() -> None:
    for name in sys.argv[1:] or RECIPES:
        with tempfile.TemporaryDirectory() as home:
            command = [sys.executable, "-m", "cnnlab", "train", *RECIPES[name], "--json"]
            trained = subprocess.run(
                command, env={**os.environ, "CNNLAB_HOME": home}, check=True, stdout=subprocess.PIPE
            )
            run_id = json.loads(trained.stdout.splitlines()[0])["id"]
            keep(Path(home) / "runs" / run_id, REFERENCE_RUNS / f"reference-{name}")
            print(f"reference-{name}: {trained.stdout.splitlines()[-1].decode()}")


def keep(run: Path, reference: Path) -> None:
    shutil.rmtree(reference, ignore_errors=True)
    reference.mkdir(parents=True)
    predictions_of(Run(run), "mnist")
    predictions_of(Run(run), "pen")
    for file in SHIPPED_FILES:
        shutil.copy(run / file, reference)


if __name__ == "__main__":
    main()
