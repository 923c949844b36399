#!/usr/bin/env bash
# Does Fashion-MNIST learn in fewer steps from a ResNet-20 that was trained on CIFAR-10? Three seeds
# of each; writes results_resnet20.json to this folder. Run it in
# the root of a clone: measure_resnet20.sh WEIGHTS [RUNS], WEIGHTS being resnet20-12fca82f.th of
# Y. Idelbayev's pytorch_resnet_cifar10.
set -euo pipefail
here=experiments/transfer weights=$1 runs=${2:-runs/transfer}
accuracies=(--accuracy={0.5,0.6,0.65,0.7,0.75,0.77})
odenet import "$weights" --arch resnet20 --out "$runs/resnet20" data.limit_train=10000
for seed in 0 1 2; do
  odenet run $here/fashion_from_resnet20.yaml seed=$seed start.run="$runs/resnet20" \
    --out "$runs/fashion-from-resnet20-$seed" -q
  odenet run $here/fashion_from_resnet20.yaml seed=$seed start=null \
    --out "$runs/fashion-resnet20-from-scratch-$seed" -q
done
odenet analyse steps-to-reach "$runs"/fashion*resnet20-* "${accuracies[@]}"
odenet analyse steps-to-reach "$runs"/fashion*resnet20-* "${accuracies[@]}" --json \
  > $here/results_resnet20.json
