"""How the programs of tests are compiled: in little time, or as users compile theirs."""

import os
from importlib.metadata import version
from pathlib import Path

QUICK: dict[str, str | bool | int] = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_parallel_codegen_split_count": 1,
}
"""Without LLVM's optimisations, each program as one piece of code, and, where jaxlib still has the
choice, without XLA's fusion emitters."""
AS_USERS_DO: dict[str, str | bool | int] = {
    "xla_backend_optimization_level": 3,
    "xla_llvm_disable_expensive_passes": False,
    "xla_cpu_parallel_codegen_split_count": 32,
}
"""`compiler_options` of `jax.jit` for what is compared bit by bit, or to the last digits."""
if tuple(map(int, version("jaxlib").split(".")[:2])) < (0, 11):
    QUICK["xla_cpu_use_fusion_emitters"] = False
    AS_USERS_DO["xla_cpu_use_fusion_emitters"] = True


def environment(**variables: str) -> dict[str, str]:
    """The environment of another process, on one device, whose programs compile in little time."""
    flags = " ".join(f"--{name}={str(value).lower()}" for name, value in QUICK.items())
    cache = os.environ.get(
        "JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".jax_cache")
    )
    return os.environ | {
        "XLA_FLAGS": flags,
        "MPLBACKEND": "Agg",
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
        **variables,
    }
