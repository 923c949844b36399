"""A configuration as plain values of an experiment file."""

from collections.abc import Mapping
from typing import Any

from odenet.experiment.interpolation import escaped
from odenet.part import PartConfig


def to_values(config: PartConfig) -> dict[str, Any]:
    """A configuration as values for `parse_config`: all kinds, and the non-default options.

    Options at their defaults are omitted, since they could conflict with an override that replaces
    their part. A dollar sign before a brace is escaped.
    """
    values = {}
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if name == "kind" or field.is_required() or value != field.default:
            values[name] = _plain(value)
    return values


def _plain(value: Any) -> Any:
    if isinstance(value, PartConfig):
        return to_values(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return escaped(value)
