"""Options of layers between two shapes that do not fit, or that would have no effect."""

import pytest
from flax import nnx
from pydantic import ValidationError

from odenet.errors import ConfigError
from odenet.models import ClassifierConfig
from odenet.models.transition import TransitionConfig


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 2}, r"shape \(8, 8, 4\).*without a projection"),
        (
            {"stride": 2, "shortcut": {"kind": "zero_pad"}},
            r"kind=zero_pad maps .* to \(8, 8, 8\), the branch to \(4, 4, 8\).*the same stride",
        ),
        ({"shortcut": {"kind": "scaled", "factor": 0.5}}, "keeps the width 4.*the branch has 8"),
        ({"shortcut": {"kind": "matrix"}}, "kind=matrix acts on vectors"),
        ({"field": {"kind": "conv"}}, r"keeps the shape of its state.*kind=mlp \(vectors\) or res"),
        (
            {"stride": 2, "strided_weight": 3, "shortcut": {"kind": "zero_pad", "stride": 2}},
            "unit=basic has 2 weights, so strided_weight=3 does not",
        ),
        (
            {
                "activated": True,
                "field": {"kind": "residual", "arrangement": "original"},
                "shortcut": {"kind": "zero_pad"},
            },
            "activated=true would be ignored",
        ),
        (
            {"field": {"kind": "residual", "last_init": "1/L"}, "shortcut": {"kind": "zero_pad"}},
            "last_init=1/L would be ignored",
        ),
        (
            {"step_sizes": {"taus": [1, 2]}, "shortcut": {"kind": "zero_pad"}},
            "taus needs one value per step: num_steps is 1, got 2",
        ),
    ],
)
def test_layers_that_do_not_fit_name_their_stage(options, message):
    config = ClassifierConfig.model_validate(
        {
            "stem": {"kind": "conv"},
            "stages": [{"width": 4}, {"width": 8, "projection": {"kind": "unit"} | options}],
            "block": {"num_steps": 1, "field": {"kind": "residual"}},
        }
    )
    with pytest.raises(ConfigError, match=rf"model\.stages\.1\.projection: .*{message}"):
        nnx.eval_shape(lambda: config.build((8, 8, 1), 3, rngs=nnx.Rngs(0)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strided_weight": 2}, "stride=1 would ignore strided_weight"),
        (
            {"step_sizes": {"kind": "learned", "parametrisation": "simplex"}},
            "nothing would be learned",
        ),
        ({"shortcut": {"kind": "scaled", "factor": 1.0}}, "factor=1 is the identity"),
    ],
)
def test_options_without_effect_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        TransitionConfig.model_validate(options)


@pytest.mark.parametrize(
    ("field", "shape", "options", "message"),
    [
        ("mlp", (4,), {"stride": 2}, "a vector has no rows to skip, so stride=2 would be ignored"),
        ("residual", (4, 4), {}, "acts on vectors"),
    ],
)
def test_states_that_a_layer_cannot_take_are_refused(field, shape, options, message):
    config = TransitionConfig.model_validate({"field": {"kind": field}} | options)
    with pytest.raises(ConfigError, match=message):
        config.build(shape, 4, rngs=nnx.Rngs(0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shared": False, "field": {"kind": "residual", "arrangement": "original"}}, "no norm"),
        ({"shared": False, "activated": True}, "keep one"),
        ({"shared": False, "field": {"kind": "mlp"}}, "kind=mlp would ignore shared"),
        ({"widened_weight": 2, "field": {"kind": "residual", "unit": "bottleneck"}}, "basic units"),
        ({"shortcut": {"kind": "conv", "order": "norm_first"}}, "needs a norm or an activation"),
    ],
)
def test_options_of_shapes_that_would_be_ignored_are_refused(options, message):
    with pytest.raises((ConfigError, ValidationError), match=message):
        TransitionConfig.model_validate(options).build((5, 4, 4), 8, rngs=nnx.Rngs(0))
