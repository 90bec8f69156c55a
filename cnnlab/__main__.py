"""``python -m cnnlab``: the lab without a browser."""

from cnnlab.cli import main

if __name__ == "__main__":
    main(prog_name="python -m cnnlab")
