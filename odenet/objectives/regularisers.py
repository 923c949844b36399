"""Regularisers along the depth, and a check that a network supports them."""

import dataclasses
from typing import Annotated, Any, Literal

import jax.numpy as jnp
from pydantic import AfterValidator, Field

from odenet.arrays import Array, Float, Key, Scalar
from odenet.integrators.quadrature import Integrand
from odenet.models.path_integrals import PathIntegrals
from odenet.objectives.regulariser import RegulariserConfig


class RandomEndConfig(RegulariserConfig):
    """Every solve of a training step ends at a random time (Ghosh et al. 2020, arXiv:2006.10711).

    The end time is uniform between `(1 - width) T` and `(1 + width) T`, sampled for every stage and
    training step; all steps of the grid are scaled by the same factor. Evaluation ends at `T`.
    """

    kind: Literal["steer"] = "steer"
    width: Annotated[float, Field(gt=0, lt=1)]
    """Largest distance of the end time from the horizon `T`, as a fraction of it: `b / T` in the
    paper."""

    @property
    def name(self) -> str:
        """Name in messages."""
        return "steer"

    @property
    def end_width(self) -> float:
        """Largest distance of the random end time from the horizon, as a fraction of it."""
        return self.width


def _each_once(given: tuple[RegulariserConfig, ...]) -> tuple[RegulariserConfig, ...]:
    names = [one.name for one in given]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"each regulariser may appear only once; got {', '.join(twice)} more than once"
        )
    return given


RegulariserConfigs = Annotated[tuple[RegulariserConfig, ...], AfterValidator(_each_once)]


@dataclasses.dataclass(frozen=True)
class Regularisers:
    """Weighted path integrals, and a random end time.

    Args:
        names: Names of the integrals in the metrics.
        weights: Weights of the integrals in the objective.
        integrands: The integrands.
        end_width: Width of the random end time; see `PathIntegrals`.
    """

    names: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    integrands: tuple[Integrand, ...] = ()
    end_width: float = 0.0

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.integrands) or self.end_width > 0

    def path_integrals(self, key: Key[Array, ""]) -> PathIntegrals:
        """The path integrals and the random end time of the training step with this key."""
        return PathIntegrals(self.integrands, self.end_width, key)

    def weighted(
        self, integrals: Float[Array, "batch integrands"], weights: Float[Array, " batch"]
    ) -> tuple[Scalar, dict[str, Scalar]]:
        """The regularisation term, and the mean of every integral over the examples."""
        means = weights @ integrals / jnp.sum(weights)
        total = means @ jnp.asarray(self.weights, means.dtype)
        return total, {name: means[index] for index, name in enumerate(self.names)}


NO_REGULARISERS = Regularisers()


def build_regularisers(given: tuple[RegulariserConfig, ...]) -> Regularisers:
    """Make the regularisers of a list of configs."""
    integrals = [one.integral for one in given if one.integral is not None]
    return Regularisers(
        tuple(one.name for one in integrals),
        tuple(one.weight for one in integrals),
        tuple(one.integrand for one in integrals),
        max((one.end_width for one in given), default=0.0),
    )


def refuse_unfit_blocks(
    given: tuple[RegulariserConfig, ...], blocks: list[Any], *, training: bool
) -> None:
    """Refuse regularisers that a block of the network does not support.

    Args:
        given: The regularisers.
        blocks: The configs of the network's blocks.
        training: Whether training uses batch statistics.

    Raises:
        ValueError: naming the stage, the conflict, and an alternative.
    """
    integrates = any(one.integral is not None for one in given)
    for stage, block in enumerate(blocks if given else []):
        where = f"objective.regularisers do not fit model.stages.{stage}"
        if block.ode is None:
            raise ValueError(
                f"{where}: its layers are no steps in depth-time; use a block of kind=depth with "
                f"shortcut.kind=identity and a field that any integrator can integrate"
            )
        if not block.step_sizes.stays_positive:
            raise ValueError(
                f"{where}: an integral decreases along negative steps; use "
                f"step_sizes.parametrisation=positive or simplex, or fixed ones above 0"
            )
        in_turn = block.integrator.is_partitioned
        if integrates and not block.integrator.carries_integrals:
            raise ValueError(
                f"{where}: integrator.kind={block.integrator.kind} computes no path integrals"
                f"{' of a partitioned state' if in_turn else ''}; use an "
                f"explicit Runge-Kutta method (euler to rk4, tableau, dopri5, bosh3), or diffrax "
                f"with a solver other than semi_implicit_euler"
            )
        if integrates and training and block.has_batch_norm:
            raise ValueError(
                f"{where}: path integrals are computed per example, and batch statistics couple "
                f"the examples; set training.batch_statistics=frozen, or use a field of kind=conv"
            )
