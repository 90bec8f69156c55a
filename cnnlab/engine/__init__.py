"""A trained network for the browser: exported as a graph with its weights, and run there by JavaScript modules."""
