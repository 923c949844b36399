#!/usr/bin/env bash
# Trains the networks of swiss_roll.yaml with 16 to 1024 layers over the same depth-time from three
# seeds, and looks at the gradient at their input before training and after it: writes
# gradients_start.json, gradients_trained.json, their figures, and accuracy.json beside this file.
# Run it in the root of a clone.
set -euo pipefail
here=experiments/stable runs=${1:-runs/stable}
for num_steps in 16 64 256 1024; do
  for seed in 0 1 2; do
    run=$runs/$num_steps-$seed
    [ -e "$run/comparison.json" ] ||
      odenet compare $here/swiss_roll.yaml model.block.num_steps=$num_steps seed=$seed --out "$run" -q
  done
done
for moment in start last; do
  for network in "$runs"/*/networks/*; do
    odenet analyse gradient-flow "$network" --at $moment --factor-examples 0 --json > /dev/null
  done
  name=$here/gradients_${moment/last/trained}
  odenet analyse gradient-scaling "$runs"/*/networks/* --figure "$name.png" --json > "$name.json"
done
