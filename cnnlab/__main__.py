"""``python -m cnnlab``: the lab without a browser."""

import os
import sys

from cnnlab import TRAINING_ENVIRONMENT
from cnnlab.errors import UnsupportedSystem

os.environ |= TRAINING_ENVIRONMENT | os.environ  # what the user has set stands

try:
    from cnnlab.cli.main import main
except UnsupportedSystem as error:
    sys.exit(str(error))

if __name__ == "__main__":
    main(prog_name="python -m cnnlab")
