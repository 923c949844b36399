"""What every test runs under: double precision, no silent broadcasting, four simulated devices.

Compiling is most of what a test does, and its programs are small: they are compiled in little time
(`compilation.py`).

`XLA_FLAGS` is read when JAX starts its devices, so it is set for that moment and then restored: a
subprocess that a test starts sees the machine as a user does.
"""

import gc
import itertools
import os
import random
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
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)

jax.devices()
if flags_of_the_user is None:
    del os.environ["XLA_FLAGS"]
else:
    os.environ["XLA_FLAGS"] = flags_of_the_user

LARGEST_NUMBER_OF_MAPS = 35_000

install_import_hook("odenet", f"{check_function.__module__}.{check_function.__name__}")


def pytest_addoption(parser):
    group = parser.getgroup("product", "the rest of tables of cases, marked `product`")
    group.addoption(
        "--product-sample", type=int, metavar="N", help="run N of them, drawn by chance"
    )
    group.addoption("--product-seed", type=int, default=0, metavar="N", help="seed of the draw")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Mark what asks for PyTorch; leave out all of `product` but a sample."""
    for item in items:
        if "torch" in item.fixturenames:
            item.add_marker("torch")
    number = config.getoption("--product-sample")
    pairs = sorted(item.nodeid for item in items if item.get_closest_marker("product"))
    if number is None or number >= len(pairs):
        return
    draw = random.Random(config.getoption("--product-seed"))
    names = set(pairs) - set(draw.sample(pairs, number))
    left_out = [item for item in items if item.nodeid in names]
    items[:] = [item for item in items if item.nodeid not in names]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture
def getkey():
    """A new random key at every call, the same ones in every run."""
    calls = itertools.count()
    return lambda: jax.random.fold_in(jax.random.key(2718), next(calls))


@pytest.fixture(autouse=True, scope="module")
def programs_are_given_back():
    """Forget compiled programs after a file, once they hold half of what a process may map.

    Every program keeps some regions of memory; Linux allows 65530 to a process, and the compiler
    ends it by a segmentation fault where it gets no more.
    """
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > LARGEST_NUMBER_OF_MAPS:
        jax.clear_caches()
        gc.collect()
