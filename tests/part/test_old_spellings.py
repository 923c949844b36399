"""Old spellings of options: read for one release, with a warning that names the new ones."""

import json
from typing import get_args

import pytest
import typer

import odenet
from odenet.cli.generated import parameters_of
from odenet.cli.prune import _fraction
from odenet.depth import PerLayerWeightsConfig
from odenet.depth.schedules import PruningConfig
from odenet.errors import ConfigError
from odenet.experiment.overrides import apply
from odenet.experiment.start import StartConfig
from odenet.fields import MLPFieldConfig, ResidualFieldConfig
from odenet.instruments.gradient_flow import GradientFlow
from odenet.models import DepthBlockConfig, ResNetConfig
from odenet.part.old_keys import OldKeyWarning
from odenet.training.config import TrainingConfig

RUN, EVERY = {"run": "runs/x"}, {"every": 8}
RENAMED = [
    (TrainingConfig, {"batch_statistics": "live"}, {"batch_statistics": "training"}),
    (GradientFlow, {"batch_statistics": "live"}, {"batch_statistics": "training"}),
    (PerLayerWeightsConfig, {"draw": "once"}, {"initialise": "once"}),
    (MLPFieldConfig, {"last_init": "as_drawn"}, {"last_init": "unscaled"}),
    (ResidualFieldConfig, {"last_init": "as_drawn"}, {"last_init": "unscaled"}),
    (ResNetConfig, {"last_init": "as_drawn"}, {"last_init": "unscaled"}),
    (StartConfig, RUN | {"first": "renew"}, RUN | {"first": "reinitialise"}),
    (StartConfig, RUN | {"last": "renew"}, RUN | {"last": "reinitialise"}),
    (PruningConfig, EVERY | {"share": 0.05}, EVERY | {"fraction": 0.05}),
]


@pytest.mark.parametrize(("config", "old", "new"), RENAMED)
def test_old_spelling_is_read_with_a_warning_that_names_the_new_one(config, old, new):
    ((key, value),) = new.items() - old.items()
    with pytest.warns(OldKeyWarning, match=f"write {key}={value}"):
        found = config.model_validate(old)
    assert found == config.model_validate(new)


OLD_BLOCK = {
    "field": {"kind": "mlp", "last_init": "as_drawn"},
    "weights": {"kind": "per_layer", "draw": "each"},
}


@pytest.mark.parametrize(
    ("override", "part", "found"),
    [
        (("weights.draw", "once"), "weights", {"kind": "per_layer", "initialise": "once"}),
        (("weights.initialise", "once"), "weights", {"kind": "per_layer", "initialise": "once"}),
        (("weights.kind", "shared"), "weights", {"kind": "shared"}),
        (("field.kind", "antisymmetric"), "field", {"kind": "antisymmetric"}),
    ],
)
@pytest.mark.filterwarnings("ignore::odenet.part.old_keys.OldKeyWarning")
def test_overrides_meet_old_spellings(override, part, found):
    assert apply(DepthBlockConfig, OLD_BLOCK, [override])[part] == found


def test_override_in_the_old_spelling_warns():
    new = {"weights": {"kind": "per_layer", "initialise": "each"}}
    with pytest.warns(OldKeyWarning, match=r"write weights\.initialise=once"):
        found = apply(DepthBlockConfig, new, [("weights.draw", "once")])
    assert found["weights"] == {"kind": "per_layer", "initialise": "once"}


def test_both_spellings_at_once_are_refused():
    with pytest.raises(ConfigError, match="draw is the old spelling of initialise"):
        PerLayerWeightsConfig(draw="once", initialise="each")  # pyright: ignore[reportCallIssue]


def test_old_option_of_prune_is_read_with_a_warning():
    with pytest.warns(OldKeyWarning, match="write --fraction"):
        assert _fraction(None, 0.1) == 0.1
    assert _fraction(0.2, None) == 0.2
    for both_or_none in ((0.1, 0.1), (None, None)):
        with pytest.raises(typer.BadParameter):
            _fraction(*both_or_none)


def test_old_value_of_an_option_is_a_choice_that_is_not_shown():
    (option,) = (one for one in parameters_of(GradientFlow) if one.name == "batch_statistics")
    info = option.annotation.__metadata__[0]
    assert info.metavar == "[training|frozen]"
    assert "live" in list(get_args(option.annotation.__origin__)[0])


def test_result_with_the_old_name_of_training_mode_is_read(tmp_path):
    found = {"blocks": [], "verdict": {}, "weights_verdict": {}, "batch_statistics": "live"}
    (tmp_path / "gradient_flow.json").write_text(json.dumps(found))
    assert GradientFlow.read(tmp_path)["batch_statistics"] == "training"


def test_old_name_of_path_integrals_is_importable_with_a_warning():
    with pytest.warns(DeprecationWarning, match="odenet.PathIntegrals"):
        assert odenet.Along is odenet.PathIntegrals
