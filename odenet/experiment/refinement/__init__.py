"""Depth surgery on trained networks: refine, prune, adapt, and the schedules that do so."""
