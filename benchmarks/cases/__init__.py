"""The benchmarks by name. A file holds its `BENCHMARK` and the work of the odenet side.

Peers in torch have a file of their own, `*_torch.py`, that only their process imports.
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


class UnknownBenchmark(ValueError):  # noqa: N818 - what is wrong is the name
    """A name that no benchmark has."""


def load(name: str) -> Benchmark:
    """The benchmark of that name.

    Raises:
        UnknownBenchmark: naming the nearest one.
    """
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.0)
        raise UnknownBenchmark(
            f"there is no benchmark {name!r}; the nearest is {near[0]!r}; all: {', '.join(NAMES)}"
        )
    return importlib.import_module(f"benchmarks.cases.{name}").BENCHMARK
