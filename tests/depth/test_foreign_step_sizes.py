"""Step sizes of a user's own: `build` is enough, and what they cannot do is refused in words."""

from typing import ClassVar, Literal

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from odenet.depth.step_sizes import AbstractStepSizes, FixedStepSizesConfig, LearnedStepSizesConfig
from odenet.depth.step_sizes.base import StepSizesConfig
from odenet.errors import ConfigError
from odenet.part.family import restored


class Geometric(AbstractStepSizes):
    """Each step a constant times the one before; the constant is learned."""

    def __init__(self, num_steps):
        self.num_steps = num_steps
        self.ratio = nnx.Param(jnp.ones((), jnp.float32))

    def taus(self):
        return self.ratio[...] ** jnp.arange(self.num_steps, dtype=jnp.float32)


@pytest.fixture
def geometric():
    with restored():

        class GeometricConfig(StepSizesConfig):
            """Geometric step sizes."""

            kind: Literal["geometric"] = "geometric"
            is_learned: ClassVar[bool] = True

            def build(self, num_steps):
                return Geometric(num_steps)

        yield GeometricConfig()


def test_what_is_built_says_how_long_the_depth_is_and_takes_its_parameters(geometric):
    assert geometric.start_horizon(4) == 4.0
    assert geometric.known(4) is None
    sizes = geometric.with_params(3, {"ratio": np.asarray(2.0, np.float32)})
    np.testing.assert_array_equal(sizes.taus(), [1.0, 2.0, 4.0])
    assert float(sizes.penalty()) == 0.0


def test_what_it_has_no_rule_for_is_refused(geometric):
    assert geometric.kept_whole == "step_sizes.kind=geometric has no rule for it"
    with pytest.raises(ConfigError, match="geometric has no rule for another number of steps"):
        geometric.moved(2, 4, {})
    with pytest.raises(ValueError, match="use kind=fixed or learned"):
        geometric.divided(3)


def test_its_parameters_are_no_step_sizes_of_another_rule(geometric):
    with pytest.raises(ConfigError, match="learned there and are fixed here"):
        FixedStepSizesConfig().check_start(geometric, (4, 4))
    with pytest.raises(ConfigError, match="are geometric there and free here"):
        LearnedStepSizesConfig().check_start(geometric, (4, 4))
