"""Configurations of parts: the model they derive from, where an option belongs, what is wrong."""

from odenet.part.config import PartConfig
from odenet.part.plugin import load_plugin

__all__ = ["PartConfig", "load_plugin"]
