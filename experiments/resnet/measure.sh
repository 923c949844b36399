#!/usr/bin/env bash
# Learned against fixed step sizes in a ResNet-20, three seeds each, on MNIST and CIFAR-10: writes
# tau_mnist.md and tau_cifar10.md to this folder. Run it in the root of a clone.
set -euo pipefail
here=experiments/resnet runs=${1:-runs/resnet}
for data in mnist cifar10; do
  for seed in 0 1 2; do
    for kind in fixed learned; do
      odenet run $here/tau_$data.yaml name=$kind model.step_sizes.kind=$kind seed=$seed \
        --out "$runs/tau-$data-$kind-$seed" -q
    done
  done
  odenet analyse seeds "$runs"/tau-$data-* > $here/tau_$data.md
done
