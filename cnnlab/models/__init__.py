"""The networks, their layers and their sources."""
