"""Fails if the run directory of the quickstart lacks what the README promises."""

import csv
import json
import sys
from html.parser import HTMLParser
from pathlib import Path

NETWORKS = {"euler", "euler_learned_tau", "continuous", "feedforward"}
COLUMNS = {"accuracy", "loss", "parameters", "nfe", "step_seconds", "compile_seconds"}
FILES = (
    "comparison.csv",
    "comparison.json",
    "config.yaml",
    "report.html",
    "figures/solver.png",
    "figures/matrix.png",
    "figures/curves.png",
    "figures/step_sizes.png",
    "figures/cost.png",
)
LEAST_ACCURACY = 0.96


class Page(HTMLParser):
    """Collects the text of a page and every address that it would load."""

    def __init__(self):
        super().__init__()
        self.text: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag, attrs):
        """Note what a tag would load."""
        values = dict(attrs)
        if tag in ("img", "script", "link", "iframe"):
            self.loaded.append(values.get("src") or values.get("href") or "")

    def handle_data(self, data):
        """Keep the text."""
        self.text.append(data)


def complaints(run: Path) -> list[str]:
    """What is missing in a run directory."""
    missing = [f"{name} is missing" for name in FILES if not (run / name).is_file()]
    if missing:
        return missing
    comparison = json.loads((run / "comparison.json").read_text())
    with (run / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = []
    if {row["trained_with"] for row in rows} != NETWORKS:
        found.append(f"the networks are not {sorted(NETWORKS)}")
    if not set(rows[0]) >= COLUMNS:
        found.append(f"comparison.csv lacks {sorted(COLUMNS - set(rows[0]))}")
    page = Page()
    page.feed((run / "report.html").read_text())
    text = " ".join(" ".join(page.text).split())
    for verdict in comparison["verdicts"]:
        words = (verdict["network"], verdict["verdict"])
        found += [f"the report does not say {word!r}" for word in words if word not in text]
    found += [
        f"the report loads {address}"
        for address in page.loaded
        if address and not address.startswith("data:")
    ]
    for row in rows:
        if row["evaluated_with"] not in text:
            found.append(f"the report does not show {row['evaluated_with']!r}")
        if row["evaluated_with"] == "as trained" and float(row["accuracy"]) < LEAST_ACCURACY:
            found.append(f"{row['trained_with']} has accuracy {row['accuracy']}")
    for name in NETWORKS:
        folder = run / "networks" / name
        found += [
            f"{name} has no {part}"
            for part in ("metrics.jsonl", "checkpoints/last")
            if not (folder / part).exists()
        ]
    return found


if __name__ == "__main__":
    problems = complaints(Path(sys.argv[1]))
    print("\n".join(problems) or f"{sys.argv[1]} holds all that is promised")
    sys.exit(bool(problems))
