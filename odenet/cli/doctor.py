"""`odenet doctor`: what the package runs on."""

from odenet.cli.options import DataDir, Json


def command(data_dir: DataDir = None, json: Json = False) -> None:
    """Show versions, devices, threads, memory, and which data sets are there."""
    import os

    import jax
    from rich.console import Console
    from rich.table import Table

    from odenet.allocator import keep_freed_memory
    from odenet.cli.output import print_json
    from odenet.data import PUBLISHED, check, find_data_dir
    from odenet.experiment.provenance import versions

    folder = find_data_dir(data_dir)
    data = {}
    for name in PUBLISHED:
        states = [status.state for status in check(name, data_dir)]
        counts = [
            f"{states.count(state)} {state}"
            for state in ("ok", "missing", "damaged")
            if state in states
        ]
        data[name] = ", ".join(counts)
    facts = {
        "versions": versions(),
        "devices": [f"{device.platform}:{device.device_kind}" for device in jax.devices()],
        "threads": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else (os.cpu_count()),
        "keeps_freed_memory": keep_freed_memory(),  # as every command began; again, for its answer
        "data_dir": str(folder),
        "data": data,
    }
    if json:
        print_json(facts)
        return
    table = Table(show_header=False)
    for name, version in facts["versions"].items():
        table.add_row(name, version)
    table.add_section()
    table.add_row("devices", ", ".join(facts["devices"]))
    table.add_row("threads", str(facts["threads"]))
    kept = facts["keeps_freed_memory"]
    table.add_row("freed memory", "kept" if kept else "given back: no glibc to tell otherwise")
    table.add_section()
    table.add_row("data in", str(folder))
    for name, state in data.items():
        table.add_row(f"  {name}", state)
    Console().print(table)
