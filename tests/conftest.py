"""What every test runs under: double precision, no silent broadcasting, four simulated devices.

Compiling is most of what a test does, and its programs are small: they are compiled in little time
(`compilation.py`).

`XLA_FLAGS` is read when JAX starts its devices, so it is set for that moment and then restored: a
subprocess that a test starts sees the machine as a user does.
"""

import itertools
import os
from pathlib import Path

from compilation import QUICK

flags = ["--xla_force_host_platform_device_count=4"]
flags += [f"--{name}={str(value).lower()}" for name, value in QUICK.items()]
flags_of_the_user = os.environ.get("XLA_FLAGS")
os.environ["XLA_FLAGS"] = " ".join((*flags, flags_of_the_user or ""))
os.environ.setdefault("MPLBACKEND", "Agg")

import jax
import pytest
from architecture.typecheck import check_function
from jaxtyping import install_import_hook

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    jax.config.update("jax_compilation_cache_dir", str(Path(__file__).parents[1] / ".jax_cache"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)

jax.devices()
if flags_of_the_user is None:
    del os.environ["XLA_FLAGS"]
else:
    os.environ["XLA_FLAGS"] = flags_of_the_user

install_import_hook("odenet", f"{check_function.__module__}.{check_function.__name__}")


@pytest.fixture
def getkey():
    """A new random key at every call, the same ones in every run."""
    calls = itertools.count()
    return lambda: jax.random.fold_in(jax.random.key(2718), next(calls))
