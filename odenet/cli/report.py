"""`odenet report`: write the report of a run or a comparison again."""

from odenet.cli.options import Json, RunPath


def command(directory: RunPath, json: Json = False) -> None:
    """Write the figures and report.html of a run directory."""
    from odenet.cli.output import print_json
    from odenet.reports import write_report

    path = write_report(directory)
    if json:
        print_json({"report": str(path)})
    else:
        print(f"report: {path}")
