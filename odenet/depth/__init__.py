"""The depth axis: step sizes, grids, and weights over depth."""
