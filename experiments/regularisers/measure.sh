#!/usr/bin/env bash
# Do regularisers along the depth make solves cheaper? Trains the networks of digits.yaml from three
# seeds: writes digits.json and digits.md to this folder, with accuracy, loss and field evaluations of
# the trained networks on the test split, with the automatic first step and with a first step over the
# whole depth. Run it in the root of a clone.
set -euo pipefail
here=experiments/regularisers runs=${1:-runs/regularisers}
for seed in 0 1 2; do
  [ -e "$runs/$seed/comparison.json" ] ||
    odenet compare $here/digits.yaml seed=$seed --out "$runs/$seed" -q
  for network in "$runs/$seed/networks"/*; do
    odenet eval "$network" model.block.integrator.first_step=1.0 --json \
      > "$runs/$seed/$(basename "$network").json"
  done
done
python - "$runs" $here <<'END_OF_PROGRAM'
import json, sys
from pathlib import Path

import yaml

runs, here = map(Path, sys.argv[1:])
config = yaml.safe_load((here / "digits.yaml").read_text())
integrator = config["model"]["block"]["integrator"]
columns = {  # name in digits.json: heading, factor, digits
    "accuracy": ("accuracy (%)", 100.0, 2),
    "loss": ("loss", 1.0, 3),
    "nfe": ("NFE", 1.0, 1),
    "nfe_bold": ("NFE, bold first step", 1.0, 1),
}
found = {name: {key: [] for key in columns} for name in config["compare"]["networks"]}
for seed in map(str, range(3)):
    for row in json.loads((runs / seed / "comparison.json").read_text())["rows"]:
        name = row["trained_with"]
        bold = json.loads((runs / seed / f"{name}.json").read_text())
        assert row["solver_ok"] and bold["solver_ok"] == 1.0, (name, seed)
        for key, values in found[name].items():
            values.append(bold["nfe"] if key == "nfe_bold" else row[key])


def cell(values, factor, digits):
    mean, *each = (f"{factor * value:.{digits}f}" for value in (sum(values) / len(values), *values))
    return f"{mean} ({', '.join(each)})"


lines = [
    f"Test split, {integrator['kind']} at rtol = {integrator['rtol']:g} and atol = "
    f"{integrator['atol']:g}, as in training. NFE is the number",
    f"of field evaluations of one solve, of a batch of {config['training']['batch_size']}, averaged "
    "over the batches. The automatic first step is",
    "short, and the growth of steps is bounded by a factor, so that even the smoothest flow takes",
    "several steps. A bold first step tries the whole depth at once; it is rejected and",
    "shortened if its error is too large. Mean (seeds 0, 1, 2):",
    "",
    f"| network | {' | '.join(heading for heading, _, _ in columns.values())} |",
    "|---" * (1 + len(columns)) + "|",
]
for name, values in found.items():
    cells = [cell(values[key], factor, digits) for key, (_, factor, digits) in columns.items()]
    lines.append(f"| {name} | {' | '.join(cells)} |")
(here / "digits.md").write_text("\n".join(lines) + "\n")
record = {"integrator": integrator, "seeds": [0, 1, 2], "networks": found}
(here / "digits.json").write_text(json.dumps(record, indent=1) + "\n")
END_OF_PROGRAM
