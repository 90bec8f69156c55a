"""Who looks, and whose runs he sees."""
