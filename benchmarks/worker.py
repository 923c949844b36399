"""The worker process of one side: it serves requests over a pipe, and is idle between them.

Started as `python -m benchmarks.worker`. Requests and replies are pickled tuples: `("build", ...)`,
`("steps", reset, count)`, `("probe",)`, `("survey", ...)`, `("quit",)`; the replies are
`("done", value)` or `("failed", traceback)`.
"""

import importlib
import os
import pickle
import sys
import time
import traceback
from typing import Any


def main() -> None:
    """Serve requests until a quit request or the end of the pipe."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output of libraries must not mix with the replies
    session = _Session()
    while True:
        try:
            name, *arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        if name == "quit":
            return
        try:
            reply = ("done", getattr(session, name)(*arguments))
        except Exception:
            reply = ("failed", traceback.format_exc())
        pickle.dump(reply, replies)
        replies.flush()


class _Session:
    """The state of one side between requests."""

    def __init__(self):
        self._work: Any = None

    def build(self, module: str, settings: dict, double: bool, keeps_memory: bool) -> float:
        """Import and build the work; returns the seconds it took."""
        start = time.perf_counter()
        if keeps_memory and self._work is None:
            _keep_memory()
        _set_precision(double)
        self._work = importlib.import_module(module).build(settings, double)
        return time.perf_counter() - start

    def steps(self, reset: bool, count: int) -> list[float]:
        """Take `count` steps, from the initial state if `reset`; returns the seconds of each."""
        if reset:
            self._work.reset()
        return [self._one() for _ in range(count)]

    def facts(self) -> dict[str, Any]:
        """The facts of the work."""
        return self._work.facts()

    def probe(self) -> Any:
        """Outputs, gradients and updated parameters from the given weights."""
        return self._work.probe()

    def survey(self, module: str, settings: dict) -> list[Any]:
        """Measure the tables of a survey."""
        _keep_memory()
        return importlib.import_module(module).survey(settings)

    def _one(self) -> float:
        start = time.perf_counter()
        own = self._work.step()
        return time.perf_counter() - start if own is None else own


def _keep_memory() -> None:
    """Keep freed memory, as every odenet process does before it imports jax."""
    from odenet.allocator import keep_freed_memory

    assert "jax" not in sys.modules
    keep_freed_memory()


def _set_precision(double: bool) -> None:
    """Set jax to double or single precision; a side without jax does not import it."""
    os.environ["JAX_ENABLE_X64"] = "1" if double else "0"  # read at the import
    if "jax" in sys.modules:
        sys.modules["jax"].config.update("jax_enable_x64", double)


if __name__ == "__main__":
    main()
