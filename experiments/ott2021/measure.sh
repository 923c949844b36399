#!/usr/bin/env bash
# Trains sphere2.yaml with steps of 1/2 to 1/512 from three seeds, and looks for the step size below
# which a trained network is an ODE: writes critical_step.json and the figure beside this file. Run it
# in the root of a clone.
set -euo pipefail
here=experiments/ott2021 runs=${1:-runs/ott2021}
for num_steps in 2 8 32 64 128 256 512; do
  for seed in 0 1 2; do
    run=$runs/$num_steps-$seed
    odenet run $here/sphere2.yaml model.block.num_steps=$num_steps seed=$seed --out "$run" -q
    odenet analyse convergence "$run" --finest 4 --solver none --json > /dev/null
  done
done
odenet analyse critical-step "$runs"/* --figure $here/critical_step.png --json > $here/critical_step.json
