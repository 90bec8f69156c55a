"""A run's film on the pages: which moment is shown, and an answer over all of them."""
