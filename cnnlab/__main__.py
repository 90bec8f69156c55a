"""``python -m cnnlab``: the lab without a browser."""

import os

from cnnlab import TRAINING_ENVIRONMENT

os.environ |= TRAINING_ENVIRONMENT | os.environ  # what the user has set stands

from cnnlab.cli.main import main

if __name__ == "__main__":
    main(prog_name="python -m cnnlab")
