"""The source of a network, read and never executed: from its text to a graph of layers, and from there to a module."""
