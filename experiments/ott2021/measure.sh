#!/usr/bin/env bash
# Trains sphere2.yaml with steps of 1/2 to 1/512 from three seeds, and measures the step size below
# which a trained network is an ODE: writes critical_step.json and the figure to this folder. Then
# evaluates the same weights by RK4 with the same steps (rk4.md), and trains adapted.yaml (adapted.md).
# Run it in the root of a clone.
set -euo pipefail
here=experiments/ott2021 runs=${1:-runs/ott2021}
for num_steps in 2 8 32 64 128 256 512; do
  for seed in 0 1 2; do
    run=$runs/$num_steps-$seed
    odenet run $here/sphere2.yaml model.block.num_steps=$num_steps seed=$seed --out "$run" -q
    odenet analyse convergence "$run" --finest 4 --solver none --json > /dev/null
    for kind in euler rk4; do
      odenet eval "$run" model.block.integrator.kind=$kind --json > "$run/$kind.json"
    done
  done
done
odenet analyse critical-step "$runs"/[0-9]* --figure $here/critical_step.png --json > $here/critical_step.json
for seed in 0 1 2; do
  odenet run $here/adapted.yaml seed=$seed --out "$runs/adapted-$seed" -q
  odenet eval "$runs/adapted-$seed" --json > "$runs/adapted-$seed/own.json"
  odenet analyse convergence "$runs/adapted-$seed" --finest 4 --solver none --json > /dev/null
done
python - "$runs" $here <<'END'
import json, sys
from pathlib import Path

runs, here = map(Path, sys.argv[1:])
SEEDS = range(3)


def read(run, name):
    return json.loads((runs / run / name).read_text())


lines = ["Test accuracy (%) under Euler's method, as trained, and of the same weights under RK4 with the same"]
lines += ["steps; seeds 0, 1 and 2:", "", "| step size | Euler | RK4 | drop (points) |", "|---|---|---|---|"]
for num_steps in (2, 8, 32, 64, 128, 256, 512):
    euler, rk4 = (
        [100 * read(f"{num_steps}-{seed}", f"{kind}.json")["accuracy"] for seed in SEEDS]
        for kind in ("euler", "rk4")
    )
    drops = [own - other for own, other in zip(euler, rk4)]
    cells = [", ".join(f"{value:.1f}" for value in row) for row in (euler, rk4, drops)]
    lines.append(f"| 1/{num_steps} | {' | '.join(cells)} |")
(here / "rk4.md").write_text("\n".join(lines) + "\n")

lines = ["Step sizes adapted while the network trains (Ott et al. 2021, algorithm 2):", ""]
lines += ["| seed | numbers of steps | largest | at the end | test accuracy (%) | drop under a near-exact solve (points) |"]
lines += ["|---|---|---|---|---|---|"]
for seed in SEEDS:
    run = f"adapted-{seed}"
    levels = read(run, "levels.json")
    pairs = [level["stages"][0]["num_steps"] for level in levels]
    numbers = [pairs[0][0], *(after for _, after in pairs)]
    judged = read(run, "convergence.json")["criticality"]
    cells = [str(seed), ", ".join(map(str, numbers)), str(max(numbers)), str(numbers[-1])]
    cells += [f"{100 * read(run, 'own.json')['accuracy']:.1f}", f"{100 * judged['change']:.1f}"]
    lines.append(f"| {' | '.join(cells)} |")
(here / "adapted.md").write_text("\n".join(lines) + "\n")
END
