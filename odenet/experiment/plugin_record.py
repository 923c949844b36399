"""The plug-ins of a run: recorded in `run.json`, and compared with those that are loaded now."""

import dataclasses
import json
import warnings
from pathlib import Path
from typing import Any

from odenet.errors import ConfigError
from odenet.experiment.directory import RUN
from odenet.part.plugin import Plugin, loaded


class ChangedPluginWarning(UserWarning):
    """A plug-in is not the one that a run was made with."""


def recorded() -> dict[str, Any]:
    """What a run notes of the plug-ins that are loaded; empty, if none is."""
    plugins = [dataclasses.asdict(plugin) for plugin in loaded()]
    return {"plugins": plugins} if plugins else {}


def naming_missing(error: ConfigError, directory: Path) -> ConfigError:
    """An error of reading a run's experiment, with the plug-ins that the run had and that lack.

    Args:
        error: Why its `config.yaml` could not be read.
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
    """Warn of every plug-in of a run that is loaded with another source text."""
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
        return []  # what is wrong with that file is said where it is needed


def _loaded_as(one: dict[str, Any]) -> Plugin | None:
    return next((plugin for plugin in loaded() if plugin.name == one["name"]), None)


def _identity(one: dict[str, Any]) -> str:
    version = f"version {one['version']}, " if one["version"] else ""
    return f"{version}sha256 {one['sha256'][:12]}"


def _where(one: dict[str, Any]) -> str:
    """What to give: the file where it was, if it is still there, else its name."""
    file = Path(one["file"])
    return str(file) if file.name == one["name"] and file.exists() else one["name"]
