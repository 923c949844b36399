"""Configuration of a map of names between the arrays of another framework and ours."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt, model_validator

from odenet.errors import ConfigError
from odenet.models.pretrained.weight_map import UNUSED_BY_US, Layout, WeightEntry, WeightMap
from odenet.part import PartConfig

_LAYER = "{layer}"


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from error
    return text


class WeightEntryConfig(PartConfig):
    """One array, or the arrays of several layers that are stacked into one array of ours."""

    foreign: str
    """Name in the file; with `num_layers`, `{layer}` stands for the number of the layer."""
    ours: str
    """Dotted path of our array."""
    layout: Layout = "same"
    """`conv` for kernels (OIHW in the file), `linear` for matrices ((out, in) in the file)."""
    num_layers: PositiveInt | None = None
    """Number of layers along the leading axis of our array; without it, the array is not
    stacked."""
    first: NonNegativeInt | None = None
    """Number of our layer 0 in the file; without it, 0."""
    every: PositiveInt | None = None
    """Increment of the layer numbers in the file: 2 for layers 0, 2, 4; without it, 1."""
    layer: NonNegativeInt | None = None
    """Our layer for an array without a number, such as 0 for the only layer of a stage."""

    @model_validator(mode="after")
    def _layers_are_named(self):
        if (self.num_layers is not None) != (_LAYER in self.foreign):
            raise ValueError(
                f"num_layers and {_LAYER} in foreign go together; got foreign {self.foreign!r} and "
                f"num_layers {self.num_layers}; for an array without a number set layer: 0"
            )
        for name in ("first", "every"):
            if getattr(self, name) is not None and self.num_layers is None:
                raise ValueError(f"{name} would be ignored without num_layers; remove it")
        if self.layer is not None and self.num_layers is not None:
            raise ValueError("layer is for an array of one layer; give layer or num_layers")
        return self

    def build(self) -> list[WeightEntry]:
        """The entries of all layers, or the only entry."""
        if self.num_layers is None:
            return [WeightEntry(self.foreign, self.ours, self.layout, self.layer)]
        first, every = self.first or 0, self.every or 1
        names = [
            self.foreign.replace(_LAYER, str(first + every * layer))
            for layer in range(self.num_layers)
        ]
        return [
            WeightEntry(name, self.ours, self.layout, layer) for layer, name in enumerate(names)
        ]


class RenameConfig(PartConfig):
    """A replacement in a known name that gives the name in the file, as in `re.sub`."""

    known: Annotated[str, AfterValidator(_pattern)]
    """Regular expression, searched in the known name."""
    file: str
    """Replacement in the name of the file; `\\1` is the first group."""


class WeightMapConfig(PartConfig):
    """A map of names: by replacements in the known names, or array by array."""

    rename: tuple[RenameConfig, ...] = ()
    """Replacements, applied in order to every known name of the architecture."""
    entries: tuple[WeightEntryConfig, ...] = ()
    """Entries of all arrays, instead of known names."""
    ignored: tuple[Annotated[str, Field(min_length=1)], ...] = UNUSED_BY_US
    """Names of arrays that the file may hold and that are ignored; `*` matches any text."""

    @model_validator(mode="after")
    def _one_way(self):
        if bool(self.rename) == bool(self.entries):
            raise ValueError(
                "a map of names has either rename, for the known names of the architecture, or "
                "entries, which name every array; give one of the two"
            )
        return self

    def build(self, known: WeightMap) -> WeightMap:
        """Build the map.

        Args:
            known: The map of the known names of the architecture; `entries` replace it.

        Raises:
            ConfigError: if a replacement refers to a group that its expression lacks, or a rule
                changes no name.
        """
        if self.entries:
            entries = [entry for config in self.entries for entry in config.build()]
            return WeightMap(tuple(entries), self.ignored)
        names = [entry.foreign for entry in known.entries]
        for rule in self.rename:
            try:
                counted = [re.subn(rule.known, rule.file, name) for name in names]
            except (re.error, IndexError) as error:
                raise ConfigError(f"rename to {rule.file!r} cannot be done: {error}") from error
            if not any(count for _, count in counted):
                raise ConfigError(
                    f"a rename rule must match a known name, {', '.join(names[:3])}, ...; "
                    f"{rule.known!r} is in none of the {len(names)}; correct or remove the rule"
                )
            names = [name for name, _ in counted]
        renamed = (
            WeightEntry(name, entry.ours, entry.layout, entry.layer)
            for name, entry in zip(names, known.entries, strict=True)
        )
        return WeightMap(tuple(renamed), self.ignored)
