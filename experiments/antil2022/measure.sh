#!/usr/bin/env bash
# Learned against fixed step sizes at horizons 1 and 6, three seeds each, in the published network and
# in a small convolutional one: writes mnist_1.md, mnist_6.md, conv_1.md, conv_6.md and the steps to 85 %
# validation accuracy to this folder. Run it in the root of a clone.
set -euo pipefail
here=experiments/antil2022 runs=${1:-runs/antil2022}
declare -A sixth=([1]=0.16666666666666666 [6]=1.0) five=([1]=0.8333333333333334 [6]=5.0)
for horizon in 1 6; do
  for kind in fixed learned; do
    first="{kind: $kind, horizon: ${sixth[$horizon]}}"
    for seed in 0 1 2; do
      odenet run $here/mnist.yaml name=$kind seed=$seed \
        "model.stages.0.projection.step_sizes=$first" \
        "model.block.step_sizes={kind: $kind, horizon: ${five[$horizon]}}" \
        --out "$runs/mnist-$horizon-$kind-$seed" -q
      odenet run $here/conv.yaml name=$kind seed=$seed \
        "model.block.step_sizes={kind: $kind, horizon: $horizon.0}" \
        --out "$runs/conv-$horizon-$kind-$seed" -q
    done
  done
  for net in mnist conv; do
    odenet analyse seeds "$runs/$net-$horizon"-* > $here/${net}_$horizon.md
    odenet analyse steps-to-reach "$runs/$net-$horizon"-* --accuracy 0.85 --json \
      > $here/${net}_${horizon}_steps.json
  done
done
