"""A training step in a process that keeps freed memory, and in one that returns it."""

from benchmarks.cases.resnet20 import build
from benchmarks.declaration import Comparison, Ratio, Side, Timing

__all__ = ["BENCHMARK", "build"]

_MODULE = "benchmarks.cases.allocator"

BENCHMARK = Comparison(
    name="allocator",
    about="ResNet-20, batch 128, one SGD-momentum step, with and without keep_freed_memory()",
    sides=(
        Side("kept", _MODULE, keeps_memory=True),
        Side("given back", _MODULE),
    ),
    ratios=(Ratio("without keep_freed_memory", "kept", "given back", bar=None),),
    settings={"batch": 128, "blocks": 3},
    full=Timing(rounds=7, steps=2),
    quick=Timing(rounds=1, warm_up=1, settle=0),
    quick_settings={"batch": 8, "blocks": 1},
    note="Both sides run the same program; the C library's handling of freed memory differs.",
)
