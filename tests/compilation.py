"""How the programs of tests are compiled: in little time, or as users compile theirs."""

from importlib.metadata import version

QUICK: dict[str, str | bool | int] = {"xla_backend_optimization_level": 0}
"""Without LLVM's optimisations and, where jaxlib still has the choice, XLA's fusion emitters."""
AS_USERS_DO: dict[str, str | bool | int] = {"xla_backend_optimization_level": 3}
"""`compiler_options` of `jax.jit` for what is compared bit by bit, or to the last digits."""
if tuple(map(int, version("jaxlib").split(".")[:2])) < (0, 11):
    QUICK["xla_cpu_use_fusion_emitters"] = False
    AS_USERS_DO["xla_cpu_use_fusion_emitters"] = True
