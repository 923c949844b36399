"""The steps of a solve for its backward pass: their sizes, and some of their initial states."""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from odenet.arrays import Array, Count, Float, Int, State, Time

FEW = 64
"""Number of steps up to which the state before every step is kept, for any state size."""
SMALL = 2**20
"""Bytes of states up to which all are kept, for any number of steps."""


def store_sizes(max_steps: int, state_bytes: int) -> tuple[int, int]:
    """Numbers of states: kept in a solve, and in the longest recomputed segment.

    Their product is at least `max_steps` and their sum near `2 sqrt(max_steps)`; the second is a
    power of 2, the first even. The first is the smaller one: its memory is written in every solve,
    that of segments only if one is recomputed.

    Args:
        max_steps: Largest number of steps.
        state_bytes: Memory of one state.
    """
    few = max(FEW, SMALL // max(state_bytes, 1) // 2 * 2)
    if max_steps <= few:
        return max_steps, 1

    def kept(segment: int) -> int:
        return max(few, 2 * math.ceil(max_steps / segment / 2))

    segments = [2**k for k in range(1, max_steps.bit_length())]
    segment = min(segments, key=lambda length: 4 * kept(length) + length)
    return kept(segment), segment


def _bytes(h: State) -> int:
    return h.size * h.dtype.itemsize


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class StepStore:
    """Accepted steps of a solve, in order.

    The state before a step is kept for every step while the store has free entries, then for every
    second, fourth and so on; the states between are recomputed in the backward pass. Memory grows
    like `sqrt(max_steps)`, and a solve of few steps recomputes nothing.

    Args:
        s: Start of every step, shape `(max_steps,)`.
        ds: Length of every step, shape `(max_steps,)`.
        states: States before some of the steps; the last entry receives discarded states.
        holds: Index of the step whose state each entry holds, or -1.
        stride: Number of steps per kept state.
    """

    s: Float[Array, " max_steps"]
    ds: Float[Array, " max_steps"]
    states: Float[Array, "places batch *state"]
    holds: Int[Array, " places"]
    stride: Count

    @staticmethod
    def empty(max_steps: int, h0: State, number: Time) -> "StepStore":
        """A store for up to `max_steps` steps of a solve from `h0`; `number` has the type of s."""
        kept, _ = store_sizes(max_steps, _bytes(h0))
        sizes = jnp.zeros((max_steps,), number.dtype)
        states = jnp.zeros((kept + (kept < max_steps), *h0.shape), h0.dtype)
        holds = jnp.full((kept,), -1, jnp.int32)
        return StepStore(sizes, sizes, states, holds, jnp.ones((), jnp.int32))

    def with_step(self, index: Count, s: Time, ds: Time, h: State) -> "StepStore":
        """The store with a step; a step of the same index overwrites the one before."""

        def put(array, x, place):
            return jax.lax.dynamic_update_index_in_dim(array, x, place, 0)

        sizes = put(self.s, s, index), put(self.ds, ds, index)
        if len(self.states) == len(self.s):
            return StepStore(*sizes, put(self.states, h, index), self.holds, self.stride)
        same, free = self.holds == index, self._free(self.stride)
        is_full = ~jnp.any(same | free) & (index % self.stride == 0)
        stride = jnp.where(is_full, 2 * self.stride, self.stride)
        free = self._free(stride)
        place = jnp.where(jnp.any(same), jnp.argmax(same), jnp.argmax(free))
        wanted = index % stride == 0
        holds = jnp.where(wanted, put(self.holds, index, place), self.holds)
        place = jnp.where(wanted, place, len(self.holds))
        return StepStore(*sizes, put(self.states, h, place), holds, stride)

    def _free(self, stride: Count) -> Array:
        return (self.holds < 0) | (self.holds % stride != 0)

    def backwards(
        self,
        count: Count,
        step: Callable[[Time, Time, State], State],
        back: Callable,
        carry: tuple,
    ) -> tuple:
        """Iterate over the steps from the last to the first.

        Args:
            count: Number of steps.
            step: `step(s, ds, h)` returns the state after a step, for recomputation.
            back: `back(s, ds, h, carry) -> carry` of one step, `h` the state before it.
            carry: The initial carry.
        """

        def kept():
            return self._through(jnp.zeros_like(count), count, self.states, back, carry)

        def recomputed():
            return self._by_segments(count, step, back, carry)

        if len(self.states) == len(self.s):
            return kept()
        return jax.lax.cond(self.stride == 1, kept, recomputed)

    def _by_segments(self, count: Count, step: Callable, back: Callable, carry: tuple) -> tuple:
        _, longest = store_sizes(len(self.s), _bytes(self.states[0]))
        between = jnp.zeros((longest, *self.states.shape[1:]), self.states.dtype)

        def segment(now):
            end, between, carry = now
            start = (end - 1) // self.stride * self.stride
            between = self._recomputed(start, end, step, between)
            return start, between, self._through(start, end, between, back, carry)

        return jax.lax.while_loop(lambda now: now[0] > 0, segment, (count, between, carry))[2]

    def _recomputed(self, start: Count, end: Count, step: Callable, states: Array) -> Array:
        """States before the steps from `start`, which is kept, to `end`."""
        first = self.states[jnp.argmax(self.holds == start)]

        def one(now):
            index, h, states = now
            h = step(self.s[index], self.ds[index], h)
            states = jax.lax.dynamic_update_index_in_dim(states, h, index + 1 - start, 0)
            return index + 1, h, states

        states = jax.lax.dynamic_update_index_in_dim(states, first, 0, 0)
        return jax.lax.while_loop(lambda now: now[0] < end - 1, one, (start, first, states))[2]

    def _through(self, start: Count, end: Count, states: Array, back: Callable, carry: tuple):
        def one(now):
            index, carry = now
            h = states[index - start]
            return index - 1, back(self.s[index], self.ds[index], h, carry)

        return jax.lax.while_loop(lambda now: now[0] >= start, one, (end - 1, carry))[1]
