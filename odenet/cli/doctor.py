"""`odenet doctor`: machine, versions, plug-ins and data sets of this installation."""

from pathlib import Path
from typing import Any

from odenet.cli.options import DataDir, Json


def command(data_dir: DataDir = None, json: Json = False) -> None:
    """Show versions, devices, threads, memory, plug-ins, and the state of the data sets."""
    from odenet.cli.output import print_json

    facts = _facts(data_dir)
    if json:
        print_json(facts)
    else:
        _show(facts, data_dir)


def _facts(data_dir: Path | None) -> dict[str, Any]:
    """The machine, the versions, the plug-ins and the data sets."""
    import dataclasses
    import os

    import jax

    from odenet.allocator import keep_freed_memory
    from odenet.data import PUBLISHED, check, find_data_dir
    from odenet.experiment.provenance import versions
    from odenet.part.plugin import installed, loaded

    data, remedies = {}, {}
    for name in PUBLISHED:
        states = [status.state for status in check(name, data_dir)]
        counts = [
            f"{states.count(state)} {state}"
            for state in ("ok", "missing", "damaged")
            if state in states
        ]
        data[name] = ", ".join(counts)
        if "missing" in states or "damaged" in states:
            remedies[name] = f"odenet data fetch {name}"
    return {
        "versions": versions(),
        "devices": [f"{device.platform}:{device.device_kind}" for device in jax.devices()],
        "threads": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else (os.cpu_count()),
        "keeps_freed_memory": keep_freed_memory(),  # called again for its result
        "plugins": [dataclasses.asdict(plugin) for plugin in loaded()],
        "installed_plugins": installed(),
        "data_dir": str(find_data_dir(data_dir)),
        "data": data,
        "to_fetch": remedies,
    }


def _show(facts: dict[str, Any], data_dir: Path | None) -> None:
    """The facts as a table, and the commands that fetch missing data."""
    from rich.console import Console
    from rich.table import Table

    from odenet.data.files import ENVIRONMENT_VARIABLE

    table = Table(show_header=False)
    for name, version in facts["versions"].items():
        table.add_row(name, version)
    table.add_section()
    table.add_row("devices", ", ".join(facts["devices"]))
    table.add_row("threads", str(facts["threads"]))
    kept = facts["keeps_freed_memory"]
    table.add_row("freed memory", "kept" if kept else "returned to the system: no glibc to keep it")
    table.add_section()
    for plugin in facts["plugins"]:
        version = f"{plugin['version']}, " if plugin["version"] else ""
        about = f"{version}sha256 {plugin['sha256'][:12]}: {', '.join(plugin['parts'])}"
        table.add_row(f"plug-in {plugin['name']}", about)
    for name in facts["installed_plugins"]:
        table.add_row("installed parts", f"{name}: load it with --plugin {name}")
    table.add_section()
    table.add_row("data in", facts["data_dir"])
    for name, state in facts["data"].items():
        table.add_row(f"  {name}", state)
    console = Console()
    console.print(table)
    if facts["to_fetch"]:
        console.print("to fetch missing or damaged data:", highlight=False)
        for remedy in facts["to_fetch"].values():
            where = f" --data-dir {data_dir}" if data_dir is not None else ""
            console.print(f"  {remedy}{where}", highlight=False, markup=False, soft_wrap=True)
        console.print(
            f"or give the folder of the data: --data-dir, or {ENVIRONMENT_VARIABLE}",
            highlight=False,
        )
