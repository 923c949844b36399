#!/usr/bin/env bash
# Trains the networks of swiss_roll.yaml with 16 to 1024 layers over the same depth-time from three
# seeds, and looks at the gradient at their input before training and after it: writes swiss_roll.md,
# gradients_start.json, gradients_trained.json and their figures beside this file. Run it in the root
# of a clone.
set -euo pipefail
here=experiments/stable runs=${1:-runs/stable}
for num_steps in 16 64 256 1024; do
  for seed in 0 1 2; do
    odenet compare $here/swiss_roll.yaml model.block.num_steps=$num_steps seed=$seed \
      --out "$runs/$num_steps-$seed" -q
  done
done
for moment in start last; do
  for network in "$runs"/*/networks/*; do
    odenet analyse gradient-flow "$network" --at $moment --factor-examples 0 --json > /dev/null
  done
  name=$here/gradients_${moment/last/trained}
  odenet analyse gradient-scaling "$runs"/*/networks/* --figure "$name.png" --json > "$name.json"
done
python - "$runs" $here <<'END'
import json, sys
from pathlib import Path

runs, here = map(Path, sys.argv[1:])
DEPTHS, SEEDS = (16, 64, 256, 1024), range(3)
METHODS = {
    "antisymmetric": "explicit Euler",
    "hamiltonian": "symplectic Euler",
    "two_layer_hamiltonian": "Verlet",
    "unconstrained": "explicit Euler",
}


def accuracy(network, depth, seed):
    lines = (runs / f"{depth}-{seed}" / "networks" / network / "metrics.jsonl").read_text()
    found = [row for row in map(json.loads, lines.splitlines()) if row.get("split") == "validation"]
    return 100 * found[-1]["accuracy"]


lines = ["Validation accuracy (%) after training, seeds 0, 1 and 2, by number of layers:", ""]
lines += ["| network | method | " + " | ".join(map(str, DEPTHS)) + " |", "|---" * 6 + "|"]
for network, method in METHODS.items():
    cells = [", ".join(f"{accuracy(network, n, seed):.1f}" for seed in SEEDS) for n in DEPTHS]
    lines.append(f"| {network} | {method} | {' | '.join(cells)} |")
scalings = {
    moment: json.loads((here / f"gradients_{moment}.json").read_text())
    for moment in ("start", "trained")
}
lines += ["", "How the gradient at the input scales with the number of layers `N`: exponent `p` of `N^p`"]
lines += ["with its standard error, and the verdict (`flat`: a factor of less than 2 over all depths):"]
lines += ["", "| network | before training | trained | trained, over the gradient at the output |"]
lines += ["|---|---|---|---|"]


def law(network, moment, quantity):
    found = scalings[moment]["networks"][network][quantity]
    if found["exponent"] is None:
        return found["verdict"]
    return f"{found['exponent']:+.2f} ± {found['standard_error']:.2f}, {found['verdict']}"


for network in METHODS:
    cells = [law(network, "start", "first")]
    cells += [law(network, "trained", quantity) for quantity in ("first", "transport")]
    lines.append(f"| {network} | {' | '.join(cells)} |")
(here / "swiss_roll.md").write_text("\n".join(lines) + "\n")
END
