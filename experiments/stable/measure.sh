#!/usr/bin/env bash
# Trains the networks of swiss_roll.yaml with 16 to 1024 layers over the same depth-time from six seeds,
# and measures the gradient at their input before and after training. Then the same from three seeds
# over depth-time 5 without weight decay, and over the depth-time 20 of Haber and Ruthotto, also with
# layers initialised independently. Writes swiss_roll.md and, for each depth-time, gradients_*.json and
# figures to this folder. Run it in the root of a clone.
set -euo pipefail
here=experiments/stable runs=${1:-runs/stable}
undecayed="training.optimizer.learning_rate=2.0e-2 training.optimizer.weight_decay=0.0"
declare -A changes=(
  [2.5]=""
  [5]="model.block.step_sizes.horizon=5.0 $undecayed"
  [20]="model.block.step_sizes.horizon=20.0 $undecayed model.block.weights.initialise=each training.num_steps=3000"
)
declare -A seeds=([2.5]="0 1 2 3 4 5" [5]="0 1 2" [20]="0 1 2")
for horizon in 2.5 5 20; do
  for num_steps in 16 64 256 1024; do
    for seed in ${seeds[$horizon]}; do
      run=$runs/horizon-$horizon/$num_steps-$seed
      odenet compare $here/swiss_roll.yaml model.block.num_steps=$num_steps seed=$seed \
        ${changes[$horizon]} --out "$run" -q
    done
  done
  for at in start last; do
    for network in "$runs/horizon-$horizon"/*/networks/*; do
      odenet analyse gradient-flow "$network" --at $at --factor-examples 0 --json > /dev/null
    done
    name=$here/gradients_${horizon}_${at/last/trained}
    odenet analyse gradient-scaling "$runs/horizon-$horizon"/*/networks/* --figure "$name.png" \
      --json > "$name.json"
  done
  odenet analyse gradient-scaling "$runs/horizon-$horizon"/{64,256,1024}-*/networks/* \
    --json > $here/gradients_${horizon}_trained_from_64.json
done
python - "$runs" $here <<'END'
import json, sys
from pathlib import Path

runs, here = map(Path, sys.argv[1:])
DEPTHS, SEEDS = (16, 64, 256, 1024), {2.5: range(6), 5: range(3), 20: range(3)}
METHODS = {
    "antisymmetric": "explicit Euler",
    "hamiltonian": "symplectic Euler",
    "two_layer_hamiltonian": "Verlet",
    "unconstrained": "explicit Euler",
}
HOW = {
    2.5: "Depth-time 2.5, all layers initialised with equal weights, weight decay, 1500 steps, seeds 0 to 5",
    5: "Depth-time 5, no weight decay, twice the learning rate, 1500 steps, seeds 0 to 2",
    20: "Depth-time 20, no weight decay, twice the learning rate, every layer initialised independently, "
    "3000 steps, seeds 0 to 2",
}


def accuracy(network, horizon, depth, seed):
    run = runs / f"horizon-{horizon}" / f"{depth}-{seed}" / "networks" / network
    lines = (run / "metrics.jsonl").read_text().splitlines()
    found = [row for row in map(json.loads, lines) if row.get("split") == "validation"]
    return 100 * found[-1]["accuracy"]


def power_law(found):
    if found["exponent"] is None:
        return found["verdict"]
    return f"{found['exponent']:+.2f} ± {found['standard_error']:.2f}, {found['verdict']}"


lines = ["Validation accuracy (%) after training, for every seed, by number of layers; and the scaling of the"]
lines += ["gradient at the input with that number `N`: the exponent `p` of `N^p` with its standard error,"]
lines += ["`flat` if the power law changes by a factor of less than 2 over the measured depths. `ratio` is the"]
lines += ["gradient at the input divided by that at the output: the factor of the backward pass."]
for horizon in HOW:
    lines += ["", f"{HOW[horizon]}:", ""]
    lines += ["| network | method | " + " | ".join(map(str, DEPTHS)) + " |", "|---" * 6 + "|"]
    for network, method in METHODS.items():
        cells = [
            ", ".join(f"{accuracy(network, horizon, n, seed):.1f}" for seed in SEEDS[horizon])
            for n in DEPTHS
        ]
        lines.append(f"| {network} | {method} | {' | '.join(cells)} |")
    lines += ["", "| network | before training | trained | trained, from 64 layers | ratio, trained |"]
    lines += ["|---" * 5 + "|"]
    scalings = [
        json.loads((here / f"gradients_{horizon}_{name}.json").read_text())["networks"]
        for name in ("start", "trained", "trained_from_64")
    ]
    for network in METHODS:
        cells = [power_law(networks[network]["first"]) for networks in scalings]
        cells.append(power_law(scalings[1][network]["transport"]))
        lines.append(f"| {network} | {' | '.join(cells)} |")
(here / "swiss_roll.md").write_text("\n".join(lines) + "\n")
END
