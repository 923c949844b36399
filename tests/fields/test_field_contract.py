"""The contract of a field: one method is enough, and configs say what their fields say."""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import FieldStack
from odenet.errors import ConfigError
from odenet.fields import VectorField
from odenet.fields.base import VectorFieldConfig
from odenet.fields.branch import BranchConfig
from odenet.fields.layers import BatchNorm
from odenet.integrators import ExplicitConfig
from odenet.part.family import members_of, restored


class Scaling(VectorField):
    """`f = w h`: nothing but a call."""

    def __init__(self, rngs):
        self.weight = nnx.Param(jax.random.normal(rngs.params(), (3,), jnp.float32))

    def __call__(self, t, h):
        del t
        return self.weight[...][None] * h


class Normed(Scaling):
    """The same behind a batch norm, which has a call in training."""

    def __init__(self, rngs):
        super().__init__(rngs)
        self.norm = BatchNorm(3, 1e-5, 0.1, rngs=rngs)

    def __call__(self, t, h):
        return super().__call__(t, self.norm(h))

    def with_batch_statistics(self, t, h):
        return super().__call__(t, self.norm.with_batch_statistics(h))


class Halved(Scaling):
    """One that says its state is partitioned."""

    @property
    def is_separable(self):
        return True


class Started(Scaling):
    """One that depends on the first state."""

    takes_start: ClassVar[bool] = True

    def __call__(self, t, h, start):
        return super().__call__(t, h) - start


def config_of(made, base=VectorFieldConfig, **members):
    """A config from outside that builds `made(rngs)`."""

    with restored():

        class OutsideConfig(base):
            kind: Literal["outside"] = "outside"

            def check(self, shape):
                del shape

            def build(self, shape, takes_time, *, depth=None, rngs):
                del shape, takes_time, depth
                return made(rngs)

            init_field = build

    for name, value in members.items():
        setattr(OutsideConfig, name, property(lambda self, value=value: value))
    return OutsideConfig()


def test_field_that_defines_a_call_alone_is_integrated():
    stack = FieldStack(lambda takes_time, rngs: Scaling(rngs), 4, False, rngs=nnx.Rngs(0))
    assert not stack.has_batch_statistics
    taus, h0 = jnp.asarray([0.5, 0.25, 1.0, 2.0], jnp.float32), jnp.ones((2, 3), jnp.float32)
    fields = stack.over(DepthGrid(taus, 4), training=True)
    found = ExplicitConfig().build().integrate(fields, DepthGrid(taus, 4), h0).h1
    weights = np.asarray(stack.stacked.weight[...])
    expected = np.prod(1 + np.asarray(taus)[:, None] * weights, axis=0)
    np.testing.assert_allclose(found, np.broadcast_to(expected, (2, 3)), rtol=1e-5)
    assert stack.stacked.last_weights() == []


def test_field_with_a_call_in_training_has_statistics():
    stack = FieldStack(lambda takes_time, rngs: Normed(rngs), 2, False, rngs=nnx.Rngs(0))
    assert stack.has_batch_statistics
    assert stack.fields(training=True).uses_batch_statistics


def test_field_of_the_first_state_gets_it():
    stack = FieldStack(lambda takes_time, rngs: Started(rngs), 1, False, rngs=nnx.Rngs(0))
    grid, h0 = DepthGrid(jnp.ones(2, jnp.float32), 1), jnp.ones((1, 3), jnp.float32)
    found = ExplicitConfig().build().integrate(stack.fields().from_start(h0), grid, h0).h1
    w = np.asarray(stack.stacked.weight[...])[0]
    h = np.ones(3)
    for _ in range(2):
        h = h + w * h - 1
    np.testing.assert_allclose(found[0], h, rtol=1e-5)


def test_module_that_is_no_field_is_refused():
    def linear(takes_time, rngs):
        return nnx.Linear(3, 3, rngs=rngs)

    with pytest.raises(ConfigError, match=r"derived from odenet.fields.VectorField; got Linear"):
        FieldStack(linear, 2, False, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("kind", members_of(VectorFieldConfig), ids=lambda kind: kind.__name__)
def test_config_and_field_say_the_same(kind):
    config = kind()
    field = config.build(
        (8,) if kind.__name__ != "ConvFieldConfig" else (4, 4, 2), False, depth=2, rngs=nnx.Rngs(0)
    )
    assert isinstance(field, VectorField)
    assert config.check_built(field) is field
    state = nnx.state(field, nnx.BatchStat)
    assert config.has_batch_norm == bool(jax.tree.leaves(state))


@pytest.mark.parametrize(
    ("made", "members", "message"),
    [
        (Halved, {}, r"is_separable=False, and Halved has is_separable=True"),
        (Started, {}, r"takes_start=False, and Started has takes_start=True"),
        (Normed, {}, r"has_batch_norm=False, and Normed defines a `with_batch_statistics`"),
        (Scaling, {"has_batch_norm": True}, "Scaling defines no `with_batch_statistics`"),
        (lambda rngs: nnx.Linear(3, 3, rngs=rngs), {}, "must give a field.*got Linear"),
    ],
)
def test_config_that_says_something_else_than_its_field_is_refused(made, members, message):
    config = config_of(made, **members)
    with pytest.raises(ConfigError, match=message):
        config.check_built(config.build((3,), False, rngs=nnx.Rngs(0)))


def test_last_init_of_a_field_without_last_weights_is_refused():
    config = config_of(Scaling, BranchConfig).model_copy(update={"last_init": "zero"})
    field = config.init_field((3,), False, rngs=nnx.Rngs(0))
    with pytest.raises(ConfigError, match="last_init=zero would be ignored: Scaling names no last"):
        config.scaled(field, 4)
