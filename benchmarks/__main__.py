"""`python -m benchmarks [NAME ...] [--json FILE] [--quick]`."""

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console

from benchmarks.agreement import Disagreement
from benchmarks.cases import NAMES, UnknownBenchmark, load
from benchmarks.harness import missed, run_benchmarks
from benchmarks.process import WorkerError
from benchmarks.provenance import provenance
from benchmarks.tables import ratio_table, side_table, survey_tables


def main(arguments: list[str]) -> int:
    """Run benchmarks.

    Returns:
        0; 1 if a bar is missed in a full run; 2 if a name is unknown, a side fails, or two sides
        compute different results.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all measurements")
    parser.add_argument("--quick", action="store_true", help="a short check; times have no bar")
    options = parser.parse_args(arguments)
    console = Console()
    try:
        benchmarks = [load(name) for name in options.names or NAMES]
        about = provenance(arguments, quick=options.quick)
        results = []
        with console.status("") as status:
            for result in run_benchmarks(benchmarks, quick=options.quick, say=status.update):
                results.append(result)
                if options.json:  # after every one, so that an interrupted run keeps its results
                    told = about | {"benchmarks": results}
                    options.json.write_text(json.dumps(told, indent=1) + "\n")
                for table in (side_table(result), *survey_tables(result)):
                    if table is not None:
                        console.print(table)
    except (UnknownBenchmark, WorkerError, Disagreement) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    console.print(ratio_table(results))
    return 1 if missed(results) and not options.quick else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
