"""The mathematics of the instruments for trained networks."""
