"""A run as a film: its network at many moments of its training."""
