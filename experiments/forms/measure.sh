#!/usr/bin/env bash
# Forms of continuous depth where a plain neural ODE must fail, three seeds each: writes
# reflection_ends.md, reflection_interval.md and annuli.md to this folder. Run it in the root of a
# clone.
set -euo pipefail
here=experiments/forms runs=${1:-runs/forms}
for seed in 0 1 2; do
  for points in ends interval; do
    odenet compare $here/reflection.yaml data.points=$points seed=$seed \
      --out "$runs/reflection-$points-$seed" -q
  done
  odenet compare $here/annuli.yaml seed=$seed --out "$runs/annuli-$seed" -q
done
for what in reflection-ends reflection-interval annuli; do
  odenet analyse seeds "$runs/$what"-[0-9] > $here/${what/-/_}.md
done
