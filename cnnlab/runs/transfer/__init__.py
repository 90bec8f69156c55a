"""A run on its way to another lab, and what came from one."""
