"""Which runs train now, and the processes that train them."""
