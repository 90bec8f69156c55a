"""Figures from data frames."""
