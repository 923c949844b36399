"""The benchmarks by name. A file holds its `BENCHMARK` and the work of the odenet side.

Peers in torch are in separate files, `*_torch.py`, which only their own process imports.
"""

import difflib
import importlib

from benchmarks.declaration import Benchmark

NAMES = (
    "resnet20",
    "odenet_mnist",
    "spiral",
    "euler_mlp",
    "overhead",
    "fixed_step",
    "adjoints",
    "compile_depth",
    "memory_depth",
    "nfe_scaling",
    "convolution",
    "norms",
    "allocator",
)


class UnknownBenchmark(ValueError):  # noqa: N818 - named like `Disagreement`
    """There is no benchmark of that name."""


def load(name: str) -> Benchmark:
    """The benchmark of a name.

    Raises:
        UnknownBenchmark: if there is none; the message names the nearest one.
    """
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.0)
        raise UnknownBenchmark(
            f"there is no benchmark {name!r}; the nearest is {near[0]!r}; all: {', '.join(NAMES)}"
        )
    return importlib.import_module(f"benchmarks.cases.{name}").BENCHMARK
