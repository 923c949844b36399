"""Memory that a step frees is kept for the next one.

XLA asks for the temporaries of a program anew at every call, in one block. glibc takes a block of
32 MiB or more from the system and gives it back when it is freed, and so does every thread's own
heap; the system then hands out each page again, zeroed, at the first touch. For a training step on
a CPU with large temporaries that takes time (`python -m benchmarks allocator` measures it).
"""

import ctypes
import os
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8
_GROWTH = 16


def share_heap() -> bool:
    """Give all threads of this process one heap; only that one can grow without limit.

    It works before JAX starts its threads. Commands begin with it.

    Returns:
        Whether the setting was taken; False where the C library is not glibc.
    """
    return _set({_M_ARENA_MAX: 1})


def keep_freed_memory(peak_bytes: int | None = None) -> bool:
    """Tell the allocator of this process to keep freed memory instead of giving it back.

    It works on Linux with glibc, and best before JAX makes its first array, since threads that
    exist already keep their own heaps. Aligned blocks seldom fit where one was freed, so the heap
    grows to several times the temporaries of a step before it settles. A training run does this for
    itself where there is memory for sixteen; a notebook or script calls it first.

    Args:
        peak_bytes: Memory that one step needs; nothing is changed if the machine does not have
            sixteen times as much. None for small work.

    Returns:
        Whether freed memory is kept from now on.
    """
    if peak_bytes is not None and peak_bytes * _GROWTH > _physical_bytes():
        return False
    settings = {_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2**31 - 1, _M_TOP_PAD: 64 * 2**20}
    return share_heap() and _set(settings)


def _physical_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _set(settings: dict[int, int]) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # musl, and systems without a dynamic C library
        return False
    taken = [mallopt(parameter, value) == 1 for parameter, value in settings.items()]
    return all(taken)
