"""Files that map array names of imported weights."""

from pathlib import Path

from pydantic import ValidationError

from odenet.errors import ConfigError
from odenet.experiment.config import read_yaml
from odenet.models.pretrained import WeightMapConfig
from odenet.part.explain import explain


def load_weight_map(path: Path) -> WeightMapConfig:
    """Read a map of array names.

    Args:
        path: YAML file, with `rename` or `entries`.

    Raises:
        ConfigError: if the file is missing, does not parse, or breaks a rule.
    """
    values = read_yaml(path, "map of names", "rename or entries")
    try:
        return WeightMapConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(WeightMapConfig, error, str(path))) from error
