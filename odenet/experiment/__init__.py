"""Experiments: from a file to a run directory, and back."""
