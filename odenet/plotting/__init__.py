"""Shared parts of figures, tables and sentences: canvas, positions of labels, wording."""
