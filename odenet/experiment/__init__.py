"""Experiments: from an experiment file to a run directory, and back."""
