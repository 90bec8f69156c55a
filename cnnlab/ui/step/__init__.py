"""The page Step: a training step in five stations."""
