"""What networks answer, as the pages show it."""
