"""One step of training with all its numbers, and the way back to any earlier one."""
