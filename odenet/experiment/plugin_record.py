"""The plug-ins of a run, recorded in `run.json` and compared with the loaded ones."""

import dataclasses
import json
import warnings
from pathlib import Path
from typing import Any

from odenet.errors import ConfigError
from odenet.experiment.directory import RUN
from odenet.part.plugin import Plugin, loaded


class ChangedPluginWarning(UserWarning):
    """A loaded plug-in differs from the plug-in of a run."""


def recorded() -> dict[str, Any]:
    """The record of the loaded plug-ins for `run.json`; empty if there are none."""
    plugins = [dataclasses.asdict(plugin) for plugin in loaded()]
    return {"plugins": plugins} if plugins else {}


def naming_missing(error: ConfigError, directory: Path) -> ConfigError:
    """Add the missing plug-ins of a run to an error in reading its experiment.

    Args:
        error: Error in reading its `config.yaml`.
        directory: The run directory.
    """
    missing = [one for one in _of(directory) if _loaded_as(one) is None]
    if not missing:
        return error
    named = " and ".join(f"{one['name']} ({_identity(one)})" for one in missing)
    options = " ".join(f"--plugin {_where(one)}" for one in missing)
    return ConfigError(
        f"{error}; this run was made with the plug-in {named}, which is not loaded; give {options}"
    )


def warn_of_changes(directory: Path) -> None:
    """Warn of every plug-in of a run whose loaded source text differs."""
    for one in _of(directory):
        now = _loaded_as(one)
        if now is not None and now.sha256 != one["sha256"]:
            message = (
                f"{directory} was made with another version of the plug-in {one['name']}: "
                f"{_identity(one)}; loaded is {_identity(dataclasses.asdict(now))}"
            )
            warnings.warn(message, ChangedPluginWarning, stacklevel=2)


def _of(directory: Path) -> list[dict[str, Any]]:
    try:
        return json.loads((directory / RUN).read_text()).get("plugins", [])
    except (OSError, ValueError):
        return []  # the code that needs this file reports its errors


def _loaded_as(one: dict[str, Any]) -> Plugin | None:
    return next((plugin for plugin in loaded() if plugin.name == one["name"]), None)


def _identity(one: dict[str, Any]) -> str:
    version = f"version {one['version']}, " if one["version"] else ""
    return f"{version}sha256 {one['sha256'][:12]}"


def _where(one: dict[str, Any]) -> str:
    """The value for `--plugin`: the recorded file if it still exists, else the name."""
    file = Path(one["file"])
    return str(file) if file.name == one["name"] and file.exists() else one["name"]
