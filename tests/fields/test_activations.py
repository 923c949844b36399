import math
from typing import get_args

import jax.numpy as jnp
import numpy as np
import pytest

from odenet.fields import ActivationName
from odenet.fields.activations import activation

POINTS = np.array([-3.0, -0.5, 0.0, 0.25, 2.0])
FORMULAS = {
    "tanh": math.tanh,
    "relu": lambda x: max(x, 0.0),
    "elu": lambda x: x if x > 0 else math.expm1(x),
    "gelu": lambda x: x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "softplus": lambda x: math.log1p(math.exp(x)),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "sin": math.sin,
    "identity": lambda x: x,
}


@pytest.mark.parametrize("name", get_args(ActivationName))
def test_activation_equals_its_formula(name):
    expected = [FORMULAS[name](x) for x in POINTS]
    np.testing.assert_allclose(activation(name)(jnp.asarray(POINTS)), expected, rtol=1e-12)
