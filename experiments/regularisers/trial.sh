#!/usr/bin/env bash
# Which weights? One seed that measure.sh does not use, weights by powers of ten, judged on the
# validation split: writes trial.md beside this file. digits.yaml has, of each regulariser, the largest
# one whose validation accuracy is at most one percentage point below that without. Run it in the root
# of a clone.
set -euo pipefail
here=experiments/regularisers runs=${1:-runs/regularisers-trial}
trial() { # NAME REGULARISERS
  local objective="{kind: cross_entropy, regularisers: [$2]}"
  [ -e "$runs/$1/results.json" ] ||
    odenet run $here/digits.yaml seed=3 name="$1" "objective=$objective" --out "$runs/$1" -q
  odenet eval "$runs/$1" --split validation --json > "$runs/$1/validation.json"
}
trial plain ''
for weight in 0.001 0.01 0.1 1.0; do
  kinetic="{kind: kinetic, weight: $weight}" jacobian="{kind: jacobian, weight: $weight}"
  trial kinetic-$weight "$kinetic"
  trial jacobian-$weight "$jacobian"
  trial kinetic_jacobian-$weight "$kinetic, $jacobian"
  trial taylor-$weight "{kind: taylor, order: 3, weight: $weight}"
done
for width in 0.25 0.5 0.75; do
  trial steer-$width "{kind: steer, width: $width}"
done
python - "$runs" $here/trial.md <<'END_OF_PROGRAM'
import json, sys
from pathlib import Path

runs, out = map(Path, sys.argv[1:])
found = {path.parent.name: json.loads(path.read_text()) for path in runs.glob("*/validation.json")}
order = ("plain", "kinetic", "jacobian", "kinetic_jacobian", "taylor", "steer")
rows = sorted((order.index(kind), float(weight or 0), kind, name)
              for name in found for kind, _, weight in [name.partition("-")])
lines = ["Validation split, seed 3 of `experiments/regularisers/trial.sh`:", ""]
lines += ["| regulariser | weight (`steer`: width) | accuracy (%) | NFE |", "|---|---|---|---|"]
for _, weight, kind, name in rows:
    one = found[name]
    lines.append(f"| {kind} | {weight:g} | {100 * one['accuracy']:.2f} | {one['nfe']:.4g} |")
out.write_text("\n".join(lines) + "\n")
END_OF_PROGRAM
