"""What trained networks answer."""
