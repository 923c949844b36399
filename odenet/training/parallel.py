"""One train step on many devices: a sharded batch axis under `jit`, or `pmap`.

Both give the numbers of one device to round-off. Parameters and moments are replicated; only the
batch is split over the devices.
"""

import abc
import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import numpy as np
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec
from pydantic import PositiveInt

from odenet.errors import ConfigError
from odenet.part import PartConfig
from odenet.training.callbacks import Record
from odenet.training.constants import hoisted
from odenet.training.state import TrainState
from odenet.training.step import Chunk, Resident, TrainStep

AXIS = "batch"


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A compiled dispatch, with the cost of its compilation and its memory.

    Attributes:
        run: `(state, resident, chunk) -> (state, metrics)`; the state is donated.
        compile_seconds: Time of tracing and compiling.
        peak_bytes: Memory of arguments, results and temporaries by XLA's own analysis, on one
            device (see `peak_bytes`), or None where the backend does not report it.
    """

    run: Callable[..., tuple[TrainState, Any]]
    compile_seconds: float
    peak_bytes: int | None

    def record(self, step: int) -> Record:
        """The cost of the program, as a line of metrics of a start at `step`."""
        record: Record = {"step": step, "split": "program"}
        record["compile_seconds"] = self.compile_seconds
        return record if self.peak_bytes is None else record | {"peak_bytes": self.peak_bytes}


class Placement(abc.ABC):
    """The placement of state and batches on devices, and the compilation of the train step."""

    axis: str | None = None

    def __init__(self, devices: Sequence[Any]):
        self.devices = devices
        self._mesh = Mesh(np.asarray(devices), (AXIS,))

    def place(self, tree: Any) -> Any:
        """Replicate a tree on every device."""
        return jax.device_put(tree, self._sharding())

    def _sharding(self, *spec: str | None) -> NamedSharding:
        return NamedSharding(self._mesh, PartitionSpec(*spec))

    @abc.abstractmethod
    def place_chunk(self, chunk: dict[str, np.ndarray]) -> Chunk:
        """Split a chunk, with leading axes `(steps, batch)`, over the devices."""

    @abc.abstractmethod
    def lower(self, step: TrainStep, *args: Any) -> tuple[Any, tuple[Any, ...]]:
        """The step with donation and placement, lowered for arguments like `args`.

        Args:
            step: The step.
            args: State, resident split and chunk.

        Returns:
            The lowered step, and the arguments that precede `args` when it runs.
        """

    def compile(
        self, step: TrainStep, state: TrainState, resident: Resident, chunk: Chunk
    ) -> Compiled:
        """Compile `step` for arguments of these shapes and types, without running it."""
        start = time.perf_counter()
        step = dataclasses.replace(step, axis=self.axis)
        lowered, constants = self.lower(step, state, resident, chunk)
        compiled = lowered.compile()
        run = functools.partial(compiled, *constants)
        return Compiled(run, time.perf_counter() - start, peak_bytes(compiled))


def peak_bytes(compiled: Any) -> int | None:
    """Bytes on one device while a compiled program runs: arguments, results and temporaries.

    Donated memory counts once, as argument and not as result. XLA's own `peak_memory_in_bytes` is
    not used: on CPU it omits the temporaries.
    """
    analysis = compiled.memory_analysis()
    if analysis is None:
        return None
    parts = ("argument_size_in_bytes", "output_size_in_bytes", "temp_size_in_bytes")
    shared = getattr(analysis, "alias_size_in_bytes", 0)
    return int(sum(getattr(analysis, part) for part in parts) - shared)


class JitPlacement(Placement):
    """A mesh with one axis; the compiler inserts the sums over devices."""

    def place_chunk(self, chunk: dict[str, np.ndarray]) -> Chunk:
        """Split the batch axis of a chunk over the devices."""
        return jax.device_put(chunk, self._sharding(None, AXIS))

    def lower(self, step: TrainStep, *args: Any) -> tuple[Any, tuple[Any, ...]]:
        """The step, lowered, and the numbers of the configuration, on every device."""
        function, numbers = hoisted(step, *args)
        everywhere = self._sharding()
        jitted = jax.jit(
            function,
            donate_argnums=1,
            in_shardings=(everywhere, everywhere, everywhere, self._sharding(None, AXIS)),
            out_shardings=(everywhere, everywhere),
        )
        constants = (self.place(numbers),)
        return jitted.lower(*constants, *args), constants


class PmapPlacement(Placement):
    """One program per device, each on its part of the batch, with explicit means over devices."""

    axis = AXIS

    def place_chunk(self, chunk: dict[str, np.ndarray]) -> Chunk:
        """Split the batch axis into `(devices, batch / devices)`, devices first."""
        count = len(self.devices)

        def split(leaf: np.ndarray) -> np.ndarray:
            steps, batch = leaf.shape[:2]
            parts = leaf.reshape(steps, count, batch // count, *leaf.shape[2:])
            return np.moveaxis(parts, 1, 0)

        return jax.device_put(jax.tree.map(split, chunk), self._sharding(AXIS))

    def lower(self, step: TrainStep, *args: Any) -> tuple[Any, tuple[Any, ...]]:
        """The step, lowered; the numbers of the configuration stay constants."""

        def on_one_device(state: TrainState, resident: Resident, chunk: Chunk):
            # pmap gives every traced array a sharding over its devices, constants have none, and
            # diffrax's checkpointed loop treats the two as different types; a program for one
            # device does not need shardings.
            with jax.sharding.use_abstract_mesh(AbstractMesh((), ())):
                return step(state, resident, chunk)

        mapped = jax.pmap(
            on_one_device,
            axis_name=AXIS,
            in_axes=(None, None, 0),
            out_axes=None,
            devices=self.devices,
            donate_argnums=0,
        )
        return mapped.lower(*args), ()


class ParallelConfig(PartConfig):
    """Number of devices, and the distribution of the step over them."""

    kind: Literal["jit", "pmap"] = "jit"
    """`jit`: a sharded batch axis, compiled as one program; `pmap`: one program per device."""
    devices: PositiveInt | None = None
    """Number of devices; without it, all available ones."""

    def build(self, batch_size: int) -> Placement:
        """Make the placement for batches of `batch_size`.

        Raises:
            ConfigError: if there are fewer devices, or they do not divide the batch.
        """
        complaint = self.complaint(batch_size)
        if complaint is not None:
            raise ConfigError(complaint)
        available = jax.devices()
        count = self.devices or len(available)
        placement = JitPlacement if self.kind == "jit" else PmapPlacement
        return placement(available[:count])

    def complaint(self, batch_size: int) -> str | None:
        """Why batches of `batch_size` cannot be split over the devices here, or None."""
        available = jax.devices()
        count = self.devices or len(available)
        if count > len(available):
            return (
                f"training.parallel.devices={count}, but there are {len(available)} "
                f"({available[0].platform}); use at most that many: "
                f"training.parallel.devices={len(available)}"
            )
        if batch_size % count:
            below = batch_size - batch_size % count
            near = [size for size in (below, below + count) if size]
            fitting = max(n for n in range(1, len(available) + 1) if batch_size % n == 0)
            return (
                f"training.batch_size must be a multiple of the {count} devices; got {batch_size}; "
                f"nearest: {near}; or use training.parallel.devices={fitting}"
            )
        return None
