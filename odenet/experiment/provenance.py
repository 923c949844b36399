"""The provenance of a run: software, plug-ins, devices and data."""

import importlib.metadata
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from odenet.data import find_data_dir
from odenet.experiment.directory import git_commit
from odenet.experiment.plugin_record import recorded

_LIBRARIES = ("jax", "jaxlib", "flax", "optax", "diffrax", "orbax-checkpoint", "grain", "numpy")


def versions() -> dict[str, str]:
    """Versions of Python, of the package and of its numerical libraries."""
    names = ("odenet", *_LIBRARIES)
    return {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in names
    }


def provenance(data_dir: Path | None, devices: Sequence[Any]) -> dict[str, Any]:
    """The provenance of a run: command, versions, plug-ins, commit, devices, data."""
    about = {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "versions": versions(),
        "git_commit": git_commit(),
        "device": devices[0].device_kind,
        "num_devices": len(devices),
        "data_dir": str(find_data_dir(data_dir).absolute()),
    }
    return about | recorded()
