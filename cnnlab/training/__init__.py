"""The training loop, and the recipe it follows."""
