"""Configurations of parts: their base class, the paths of their options, validation errors."""

from odenet.part.config import PartConfig
from odenet.part.plugin import load_plugin

__all__ = ["PartConfig", "load_plugin"]
