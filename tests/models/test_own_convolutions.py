"""Every layer that convolves does so by `odenet.ops.conv`."""

import ast
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jax.extend.core import jaxprs_in_params

from odenet.models import ClassifierConfig, init_network

PACKAGE = Path(__file__).parents[2] / "odenet"


def convolves_by_itself(source):
    """Whether code names a convolution of flax or of JAX."""
    names = {"Conv", "ConvTranspose", "conv", "conv_general_dilated", "conv_with_general_padding"}
    owners = {"nnx", "lax", "linen", "nn"}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in names:
            owner = node.value
            named = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            if named in owners:
                return True
        if isinstance(node, ast.ImportFrom):
            foreign = (node.module or "").startswith(("jax", "flax"))
            if foreign and {alias.name for alias in node.names} & names:
                return True
    return False


def test_no_other_package_convolves_by_itself():
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] != "ops" and convolves_by_itself(path.read_text())
    }
    # The one place that names a layer of flax hands odenet's own function to it.
    assert found == {"fields/layers.py"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("nnx.Conv(1, 2, (3, 3), rngs=rngs)", True),
        ("jax.lax.conv_general_dilated(x, w, (1, 1), 'SAME')", True),
        ("from jax.lax import conv_general_dilated", True),
        ("from odenet.ops.conv import conv_general_dilated", False),
        ("nnx.Linear(1, 2, rngs=rngs)", False),
    ],
)
def test_rule_sees_every_form(source, expected):
    assert convolves_by_itself(source) == expected


def primitives(jaxpr):
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        for inner in jaxprs_in_params(equation.params):
            yield from primitives(getattr(inner, "jaxpr", inner))


def test_classifier_of_convolutions_has_none_of_xla_in_value_and_gradient():
    config = ClassifierConfig(
        stem={"kind": "conv"},
        stages=[
            {"width": 4},
            {"width": 6, "projection": {"kind": "conv", "kernel_size": 1, "stride": 2}},
        ],
        block={"num_steps": 2, "field": {"kind": "conv"}, "weights": {"kind": "shared_with_time"}},
    )
    network = init_network(config, (8, 8, 3), 10, jax.random.key(0))

    def loss(x):
        return jnp.sum(network(x)[0])

    with jax.numpy_dtype_promotion("standard"):
        jaxpr = jax.make_jaxpr(jax.grad(loss))(jnp.zeros((2, 8, 8, 3), jnp.float32))
    names = set(primitives(jaxpr.jaxpr))
    assert {"odenet_conv", "odenet_conv_input_gradient"} <= names
    assert "conv_general_dilated" not in names
