"""The networks that one can train: those that ship with the lab, and those that people wrote, kept in the home."""
