"""The command line: ``python -m cnnlab``."""
