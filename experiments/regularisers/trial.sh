#!/usr/bin/env bash
# Which weights? One seed that measure.sh does not use, weights by powers of ten, judged on the
# validation split after the last step: writes trial.md beside this file. digits.yaml has, of each
# regulariser, the largest one whose accuracy is at most one percentage point below that without. Run
# it in the root of a clone.
set -euo pipefail
here=experiments/regularisers run=${1:-runs/regularisers-trial}
networks='plain: {}'
add() { # NAME REGULARISERS
  networks+=", $1: {objective: {kind: cross_entropy, regularisers: [$2]}}"
}
for weight in 0.01 0.1 1.0; do
  kinetic="{kind: kinetic, weight: $weight}" jacobian="{kind: jacobian, weight: $weight}"
  add kinetic-$weight "$kinetic"
  add jacobian-$weight "$jacobian"
  add kinetic_jacobian-$weight "$kinetic, $jacobian"
  add taylor-$weight "{kind: taylor, order: 3, weight: $weight}"
done
for width in 0.25 0.5 0.75; do
  add steer-$width "{kind: steer, width: $width}"
done
[ -e "$run/comparison.json" ] ||
  odenet compare $here/digits.yaml seed=3 "compare={networks: {$networks}}" --out "$run" -q
python - "$run" $here/trial.md <<'END_OF_PROGRAM'
import json, sys
from pathlib import Path

run, out = map(Path, sys.argv[1:])
order = ("plain", "kinetic", "jacobian", "kinetic_jacobian", "taylor", "steer")
rows = []
for path in run.glob("networks/*/metrics.jsonl"):
    kind, _, weight = path.parent.name.partition("-")
    records = map(json.loads, path.read_text().splitlines())
    last = [record for record in records if record.get("split") == "validation"][-1]
    rows.append((order.index(kind), weight, kind, f"{100 * last['accuracy']:.2f}", last["nfe"]))
lines = ["Validation split, seed 3, by `experiments/regularisers/trial.sh`:", ""]
lines += ["| regulariser | weight (`steer`: width) | accuracy (%) | NFE |", "|---|---|---|---|"]
for _, weight, kind, accuracy, nfe in sorted(rows):
    lines.append(f"| {kind} | {weight or '–'} | {accuracy} | {nfe:.1f} |")
out.write_text("\n".join(lines) + "\n")
END_OF_PROGRAM
