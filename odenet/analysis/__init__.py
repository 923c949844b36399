"""What depth did: instruments on trained networks."""
