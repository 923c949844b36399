"""Reads the mapping in a YAML file."""

from pathlib import Path
from typing import Any

from odenet.errors import ConfigError
from odenet.experiment.yaml_text import read
from odenet.part.explain import nearest


def read_yaml(
    path: Path, what: str = "experiment file", keys: str = "name, data and model"
) -> dict[str, Any]:
    """The mapping in a YAML file, with interpolations not yet resolved.

    Args:
        path: The file.
        what: Name of this kind of file, for errors.
        keys: Required keys, for errors.

    Raises:
        ConfigError: if the file is missing, does not parse, or is not a mapping.
    """
    if path.is_dir():
        raise ConfigError(_directory_given(path, what))
    if not path.is_file():
        there = sorted(str(found) for found in path.parent.glob("*.yaml")) if path.parent else []
        found = nearest(str(path), there) if there else f"{path.parent} holds no .yaml file"
        raise ConfigError(f"no {what} {path}; {found}")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    values = read(text, str(path))
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold a mapping with the keys {keys}")
    return values


def _directory_given(path: Path, what: str) -> str:
    line = f"{path} is a directory, not one {what}"
    own = path / "config.yaml"
    if own.is_file():
        return (
            f"{line}; to continue that run: odenet resume {path}; to run its experiment again: "
            f"odenet run {own}"
        )
    files = sorted(path.glob("*.yaml"))
    if not files:
        return f"{line}; {path} holds no .yaml file"
    return f"{line}; it holds {', '.join(str(file) for file in files[:4])}"
