"""The lab's training loops, timed against the tutorial's."""
