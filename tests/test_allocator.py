"""Freed memory is kept: seen in the page faults of a compiled step, in a process of its own."""

import platform
import subprocess
import sys

import pytest

from odenet import allocator

PROGRAM = """
import resource, sys
from odenet.allocator import keep_freed_memory
print(keep_freed_memory() if sys.argv[1] == "keep" else None)
import jax, jax.numpy as jnp

@jax.jit
def step(x):  # two temporaries of 64 MiB
    outer = x[:, None] * x
    return jnp.tanh(jnp.maximum(outer, 0) @ x + x @ jnp.minimum(outer, 0))

x = jnp.ones(4096)
# A heap that is kept finds its size: pieces that are left between others are too short.
for _ in range(50 if sys.argv[1] == "keep" else 2):
    x = step(x).block_until_ready()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    x = step(x).block_until_ready()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 5)
"""


def returned_and_faults(how):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True
    )
    returned, faults = done.stdout.split()
    return returned, float(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_page_faults_of_a_step_fall_by_ten():
    _, without = returned_and_faults("give back")
    returned, kept = returned_and_faults("keep")
    assert returned == "True"
    assert without > 1000
    assert kept < without / 10


@pytest.mark.parametrize("other", ["darwin", "win32"])
def test_other_platforms_are_left_alone(other, monkeypatch):
    monkeypatch.setattr(allocator.sys, "platform", other)
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: pytest.fail("was touched"))
    assert not allocator.keep_freed_memory()


@pytest.mark.parametrize("error", [AttributeError, OSError])
def test_other_c_libraries_are_left_alone(error, monkeypatch):
    def library(name):
        raise error

    monkeypatch.setattr(allocator.sys, "platform", "linux")
    monkeypatch.setattr(allocator.ctypes, "CDLL", library)
    assert not allocator.keep_freed_memory()


def test_a_setting_that_is_refused_is_told(monkeypatch):
    asked = []

    class Library:
        def mallopt(self, parameter, value):
            asked.append((parameter, value))
            return int(parameter != -8)

    monkeypatch.setattr(allocator.sys, "platform", "linux")
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: Library())
    assert not allocator.keep_freed_memory()
    assert asked == [(-8, 1)]


def test_a_step_that_could_outgrow_the_machine_leaves_the_allocator_alone(monkeypatch):
    asked = []
    monkeypatch.setattr(allocator, "_set", lambda settings: asked.append(settings) or True)
    monkeypatch.setattr(allocator, "_physical_bytes", lambda: 1600)
    assert not allocator.keep_freed_memory(101)
    assert asked == []
    assert allocator.keep_freed_memory(100)
    assert asked
