#!/usr/bin/env bash
# Choice of the weights of regularisers: one seed that measure.sh does not use, weights by powers of
# ten, judged on the validation split after the last step; writes trial.md to this folder. digits.yaml
# has the largest weight of each regulariser whose accuracy is at most one percentage point below that
# without regulariser. Run it in the root of a clone.
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
last = {}
for path in run.glob("networks/*/metrics.jsonl"):
    kind, _, weight = path.parent.name.partition("-")
    records = map(json.loads, path.read_text().splitlines())
    last[kind, weight] = [record for record in records if record.get("split") == "validation"][-1]
least = last["plain", ""]["accuracy"] - 0.01
passing = [one for one, record in last.items() if record["accuracy"] >= least]
lines = [
    "Validation split, seed 3, by `experiments/regularisers/trial.sh`. The chosen weight of each regulariser is",
    "the largest one whose accuracy is at most one percentage point below that of `plain`.",
    "",
    "| regulariser | weight (`steer`: width) | accuracy (%) | NFE | chosen |",
    "|---|---|---|---|---|",
]
for kind, weight in sorted(last, key=lambda one: (order.index(one[0]), one[1])):
    record = last[kind, weight]
    largest = max((float(w) for k, w in passing if k == kind and w), default=None)
    chosen = "yes" if weight and float(weight) == largest else ""
    accuracy = f"{100 * record['accuracy']:.2f}"
    lines.append(f"| {kind} | {weight or '–'} | {accuracy} | {record['nfe']:.1f} | {chosen} |")
out.write_text("\n".join(lines) + "\n")
END_OF_PROGRAM
