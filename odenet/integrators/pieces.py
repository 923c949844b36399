"""An interval divided into sub-intervals (pieces) at the break points of its field."""

import dataclasses

import jax
import jax.numpy as jnp

from odenet.arrays import Array, Count, Float, Time


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Pieces:
    r"""An interval from `t0` to `t0 + tau`, normalised to $s \in [0, 1]$, with its sub-intervals.

    On piece `k`, from `ends[k]` to `ends[k + 1]`, depth-time is linear in `s` between `times[k]`
    and `times[k + 1]`. The ends are constants and the times are not: break points, and thereby the
    pieces between them, keep their times when `tau` changes.

    Args:
        t0: Start of the interval.
        tau: Its length, of any sign.
        ends: Ends of the pieces as fractions of the interval, from 0 to 1, in increasing order;
            empty without break points.
        times: The same ends in depth-time.
    """

    t0: Time
    tau: Time
    ends: Float[Array, " ends"]
    times: Float[Array, " ends"]

    @property
    def is_whole(self) -> bool:
        """Whether there is only one piece, for every interval."""
        return not self.ends.size

    def index(self, s: Time) -> Count:
        """The piece that contains `s` and continues after it; pieces of length 0 are skipped."""
        return jnp.sum(self.ends[1:-1] <= s, dtype=jnp.int32)

    def end(self, s: Time) -> Time:
        """End of the piece that continues after `s`."""
        return jnp.ones_like(s) if self.is_whole else self.ends[self.index(s) + 1]

    def at(self, piece: Count, s: Time) -> tuple[Time, Time]:
        """Depth-time at `s` of a piece, and its derivative with respect to `s`.

        At break points the time is the next floating-point number inside the piece, so that a field
        with a jump there has its value inside the piece.
        """
        if self.is_whole:
            return self.t0 + s * self.tau, self.tau
        start, end = self.ends[piece], self.ends[piece + 1]
        first, last = self.times[piece], self.times[piece + 1]
        rate = (last - first) / jnp.where(end > start, end - start, 1)
        t = first + (s - start) * rate
        fixed, first, last = jax.lax.stop_gradient((t, first, last))
        low, high = jnp.minimum(first, last), jnp.maximum(first, last)
        inside = jnp.clip(fixed, jnp.nextafter(low, high), jnp.nextafter(high, low))
        return t + (inside - fixed), rate

    def passed(self, s: Time) -> Count:
        """Number of break points inside the interval before `s`."""
        inner = self.ends[1:-1]
        return jnp.sum((inner > 0) & (inner < s), dtype=jnp.int32)

    def time_at(self, s: Time) -> Time:
        """Depth-time at `s`."""
        return jnp.where(s >= 1, self.t0 + self.tau, self.at(self.index(s), s)[0])


def pieces_between(t0: Time, tau: Time, break_points: tuple[float, ...]) -> Pieces:
    """The pieces of an interval between the break points in it.

    Args:
        t0: Start of the interval.
        tau: Its length, of any sign.
        break_points: Depth-times in increasing order; those outside the interval are ignored.
    """
    nothing = jnp.zeros((0,), t0.dtype)
    if not break_points:
        return Pieces(t0, tau, nothing, nothing)
    t1 = t0 + tau
    points = jnp.asarray(break_points, t0.dtype)
    points = jnp.where(tau < 0, points[::-1], points)
    inside = jnp.clip(points, jnp.minimum(t0, t1), jnp.maximum(t0, t1))
    parts = (inside - t0) / jnp.where(tau == 0, 1, tau)
    ends = jnp.concatenate([jnp.zeros(1, t0.dtype), jnp.clip(parts, 0, 1), jnp.ones(1, t0.dtype)])
    times = jnp.concatenate([t0[None], inside, t1[None]])
    return Pieces(t0, tau, jax.lax.stop_gradient(ends), times)
