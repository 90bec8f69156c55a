"""The proof that the tutorial's two definitions are one network."""
