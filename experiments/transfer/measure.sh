#!/usr/bin/env bash
# Does Fashion-MNIST learn in fewer steps from the weights of MNIST? Three seeds of each;
# writes results.json to this folder. Run it in the root of a clone.
set -euo pipefail
here=experiments/transfer runs=${1:-runs/transfer}
accuracies=(--accuracy={0.5,0.6,0.65,0.7,0.75,0.77})
for seed in 0 1 2; do
  source=$runs/mnist-$seed
  odenet run $here/mnist.yaml seed=$seed --out "$source" -q
  odenet run $here/fashion_from_mnist.yaml seed=$seed start.run="$source" \
    --out "$runs/fashion-from-mnist-$seed" -q
  odenet run $here/fashion_from_mnist.yaml seed=$seed start=null \
    --out "$runs/fashion-from-scratch-$seed" -q
done
odenet analyse steps-to-reach "$runs"/fashion-* "${accuracies[@]}"
odenet analyse steps-to-reach "$runs"/fashion-* "${accuracies[@]}" --json > $here/results.json
