"""Digits that people draw or photograph, and how they become a network's input."""
