"""Provenance of the measurements: machine, versions, commit, command, date."""

import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.process import ROOT

LIBRARIES = ("odenet", "jax", "jaxlib", "flax", "optax", "diffrax", "torch", "torchdiffeq")


def provenance(arguments: list[str], *, quick: bool) -> dict[str, Any]:
    """The data to reproduce a run of `python -m benchmarks ARGUMENTS`."""
    return {
        "machine": machine(),
        "versions": versions(),
        "git_commit": git_commit(),
        "command": " ".join(["python -m benchmarks", *arguments]),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "quick": quick,
    }


def machine() -> dict[str, Any]:
    """Processor, available cores, memory, operating system."""
    pages, page_size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gib": round(pages * page_size / 2**30, 1),
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def versions() -> dict[str, str | None]:
    """Versions of Python and of the libraries; None for one that is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def git_commit() -> str | None:
    """The commit of the working tree, with `+` if it has changes; None outside a repository."""
    try:
        commit = _git("rev-parse", "HEAD")
        return commit + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
