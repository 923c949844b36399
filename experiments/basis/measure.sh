#!/usr/bin/env bash
# How few functions of depth are enough? A network trained at 2, 4, 8 and 16 layers and one of 16
# layers from the start, three seeds each; writes mnist.md, mnist.json and mnist.svg to this folder.
# Run it in the root of a clone.
set -euo pipefail
here=experiments/basis runs=${1:-runs/basis}
for seed in 0 1 2; do
  odenet run $here/mnist.yaml seed=$seed --out "$runs/multilevel-$seed" -q
  odenet run $here/mnist.yaml seed=$seed training.depth_schedule=null model.block.num_steps=16 \
    --out "$runs/from_start-$seed" -q
  for kind in multilevel from_start; do
    odenet analyse basis "$runs/$kind-$seed" --basis piecewise_constant > /dev/null
  done
done
odenet analyse basis "$runs/multilevel-0" --basis piecewise_constant --basis piecewise_linear \
  --basis legendre --num-basis 16 --num-basis 8 --num-basis 4 --num-basis 2
cp "$runs/multilevel-0/figures/basis.svg" $here/mnist.svg
python - "$runs" $here <<'END'
import json, sys
from pathlib import Path

runs, here = map(Path, sys.argv[1:])
found = {
    f"{kind}-{seed}": json.loads((runs / f"{kind}-{seed}" / "basis.json").read_text())
    for kind in ("multilevel", "from_start")
    for seed in range(3)
}
levels = {
    f"multilevel-{seed}": json.loads((runs / f"multilevel-{seed}" / "levels.json").read_text())
    for seed in range(3)
}
for one in found.values():
    one.pop("directory")
(here / "mnist.json").write_text(json.dumps({"basis": found, "levels": levels}, indent=1) + "\n")


def accuracies(kind, basis, size):
    curves = [found[f"{kind}-{seed}"]["curves"] for seed in range(3)]
    points = [p for run in curves for c in run if c["basis"] == basis for p in c["points"]]
    return ", ".join(f"{100 * p['accuracy']:.2f}" for p in points if p["num_basis"] == size)


lines = ["Test accuracy (%) of seeds 0, 1 and 2, with projected weights, without further training:", ""]
lines += ["| piecewise-constant functions | trained at 2, 4, 8, 16 layers | 16 layers from the start |"]
lines += ["|---|---|---|"]
for size in (16, 8, 4, 2):
    cells = [accuracies(kind, "piecewise_constant", size) for kind in ("multilevel", "from_start")]
    lines.append(f"| {size} | {cells[0]} | {cells[1]} |")
lines += ["", "Other basis functions, for seed 0 of the first network:", ""]
lines += ["| functions | piecewise linear | Legendre |", "|---|---|---|"]
for size in (16, 8, 4, 2):
    cells = [accuracies("multilevel", basis, size) for basis in ("piecewise_linear", "legendre")]
    lines.append(f"| {size} | {cells[0]} | {cells[1]} |")
lines += ["", "Validation loss at the divisions of layers, seeds 0, 1 and 2:", ""]
lines += ["| step | before | after | after one more step without division |", "|---|---|---|---|"]
for change in range(3):
    rows = [levels[f"multilevel-{seed}"][change] for seed in range(3)]
    cells = [", ".join(f"{row[key]:.4f}" for row in rows)
             for key in ("loss_before", "loss_after", "loss_after_one_step")]
    lines.append(f"| {rows[0]['step']} | {' | '.join(cells)} |")
(here / "mnist.md").write_text("\n".join(lines) + "\n")
END
