"""Memory that a step frees is kept for the next one.

XLA asks for the temporaries of a program anew at every call, in one piece. glibc takes a piece of
32 MiB or more from the system and gives it back when it is freed, and so does every thread's own
heap; the system then hands out each page again, zeroed, at the first touch. For a training step on
a CPU that costs as much as a good part of its arithmetic (`python -m benchmarks allocator`).
"""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8
_SETTINGS = (
    (_M_MMAP_MAX, 0),  # large pieces come from the heap too,
    (_M_ARENA_MAX, 1),  # which is one for all threads, since only that one grows without limit,
    (_M_TRIM_THRESHOLD, 2**31 - 1),  # and does not shrink.
    (_M_TOP_PAD, 64 * 2**20),
)


def keep_freed_memory() -> bool:
    """Tell the allocator of this process to keep what is freed instead of giving it back.

    It works on Linux with glibc, and only before JAX makes its first array, since threads that
    exist already keep their own heaps. The process holds the most memory that it ever needed until
    it ends. Commands do this for themselves; a notebook or script calls it first.

    Returns:
        Whether every setting was taken; False where the allocator is another one.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # musl, and systems without a dynamic C library
        return False
    taken = [mallopt(parameter, value) == 1 for parameter, value in _SETTINGS]
    return all(taken)
