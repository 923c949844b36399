"""The parent's interface to a worker process: start, requests, end."""

import contextlib
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.declaration import Probe, Settings, Side

ROOT = Path(__file__).parents[1]
PAUSE_SECONDS = 0.2
"""Pause before another side starts: OpenMP threads spin for a while after a parallel loop."""


class WorkerError(RuntimeError):
    """A side failed; the message is its whole traceback."""


class Worker:
    """The process of one side; use it in a `with`.

    Args:
        benchmark: Name of the benchmark for errors, which also name the side that was built last.
    """

    def __init__(self, benchmark: str):
        self._benchmark = self._label = benchmark
        environment = dict(os.environ)
        # With the cache of the tests, a first step would not compile.
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))
        )
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )

    def build(self, side: Side, settings: Settings, *, double: bool = False) -> float:
        """Build the work of a side, which replaces earlier work; returns the seconds it took.

        Args:
            side: The side.
            settings: Settings of the benchmark; those of the side override them.
            double: Whether the side computes in double precision.
        """
        self._label = f"{self._benchmark}: {side.name}"
        merged = dict(settings) | dict(side.settings)
        return self._ask("build", side.module, merged, double, side.keeps_memory)

    def steps(self, count: int, *, reset: bool = False) -> list[float]:
        """Seconds of each of `count` steps, from the initial state if `reset`."""
        return self._ask("steps", reset, count)

    def facts(self) -> dict[str, Any]:
        """The facts of the side; see `Work.facts`."""
        return self._ask("facts")

    def probe(self) -> Probe:
        """The results of the side from the given weights; see `Probe`."""
        return self._ask("probe")

    def survey(self, module: str, settings: Settings) -> list[Any]:
        """The tables of a survey."""
        return self._ask("survey", module, dict(settings))

    def _ask(self, *request: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            pickle.dump(request, self._process.stdin)
            self._process.stdin.flush()
            state, value = pickle.load(self._process.stdout)
        except (BrokenPipeError, EOFError, pickle.UnpicklingError) as error:
            code = self._process.wait()
            raise WorkerError(f"{self._label} ended with exit code {code}") from error
        if state == "failed":
            raise WorkerError(f"{self._label} failed:\n{value}")
        return value

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()  # the worker quits at the end of its input
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def settle() -> None:
    """Wait until the threads of the last side are idle."""
    time.sleep(PAUSE_SECONDS)
