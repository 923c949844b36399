#!/usr/bin/env bash
# Do regularisers along the depth make solves cheaper? Trains the networks of digits.yaml from three
# seeds: writes digits.json and digits.md beside this file, with accuracy and field evaluations of the
# trained networks on the test split. Run it in the root of a clone.
set -euo pipefail
here=experiments/regularisers runs=${1:-runs/regularisers}
for seed in 0 1 2; do
  [ -e "$runs/$seed/comparison.json" ] ||
    odenet compare $here/digits.yaml seed=$seed --out "$runs/$seed" -q
done
python - "$runs" $here <<'END_OF_PROGRAM'
import json, sys
from pathlib import Path

import yaml

runs, here = map(Path, sys.argv[1:])
seeds = range(3)
config = yaml.safe_load((here / "digits.yaml").read_text())
integrator = config["model"]["block"]["integrator"]
found = {name: {"accuracy": [], "nfe": [], "solver_ok": []} for name in config["compare"]["networks"]}
for seed in seeds:
    for row in json.loads((runs / str(seed) / "comparison.json").read_text())["rows"]:
        for key, values in found[row["trained_with"]].items():
            values.append(row[key])


def cell(values, factor, digits):
    mean = factor * sum(values) / len(values)
    return f"{mean:.{digits}f} ({', '.join(f'{factor * value:.{digits}f}' for value in values)})"


each = ", ".join(map(str, seeds))
lines = [
    f"Test split, {integrator['kind']} at rtol = {integrator['rtol']:g}, atol = "
    f"{integrator['atol']:g}; NFE is the number of field evaluations for a batch of "
    f"{config['training']['batch_size']}, averaged over the batches. Mean (seeds {each}):",
    "",
    "| network | accuracy (%) | NFE |",
    "|---|---|---|",
]
for name, values in found.items():
    failed = "" if all(values["solver_ok"]) else ", a solve failed"
    accuracy, nfe = cell(values["accuracy"], 100.0, 2), cell(values["nfe"], 1.0, 1)
    lines.append(f"| {name} | {accuracy} | {nfe}{failed} |")
(here / "digits.md").write_text("\n".join(lines) + "\n")
record = {"integrator": integrator, "seeds": list(seeds), "networks": found}
(here / "digits.json").write_text(json.dumps(record, indent=1) + "\n")
END_OF_PROGRAM
