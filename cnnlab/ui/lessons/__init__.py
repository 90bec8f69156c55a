"""Lessons beside the pages on which they are done."""
