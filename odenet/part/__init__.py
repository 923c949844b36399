"""Configurations of parts: the model they derive from, where an option belongs, what is wrong."""

from odenet.part.config import PartConfig

__all__ = ["PartConfig"]
