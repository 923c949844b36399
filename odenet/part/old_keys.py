"""Renamed keys: the old spelling is read for one release, with a warning of the new one."""

import warnings
from collections.abc import Mapping
from typing import Any

from odenet.errors import ConfigError


class OldKeyWarning(UserWarning):
    """A configuration has a key that the next release will not read."""


def warn_of_old_key(old: str, new: str) -> None:
    """Warn of an old key and name its new spelling.

    Args:
        old: The old key, with its value.
        new: The new key, with its value.
    """
    warnings.warn(
        f"{old} is an old spelling, which the next release will not read; write {new}",
        OldKeyWarning,
        stacklevel=3,
    )


def with_new_names(
    data: dict[str, Any],
    keys: Mapping[str, str],
    values: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """Replace old keys and old values by new ones, with a warning for each.

    Args:
        data: The mapping from the file or the call.
        keys: New keys by old keys.
        values: New values by old values, by key.

    Raises:
        ConfigError: if a key is given in both spellings.
    """
    data = dict(data)
    for old, new in keys.items():
        if old not in data:
            continue
        if new in data:
            raise ConfigError(
                f"{old} is the old spelling of {new}, and both are given; write {new} alone"
            )
        warn_of_old_key(f"{old}={data[old]}", f"{new}={data[old]}")
        data[new] = data.pop(old)
    for key, renamed in values.items():
        value = data.get(key)
        if isinstance(value, str) and value in renamed:
            warn_of_old_key(f"{key}={value}", f"{key}={renamed[value]}")
            data[key] = renamed[value]
    return data
