"""Runs that begin as another run and learn one person's digits: what they begin with, and with which recipe."""
