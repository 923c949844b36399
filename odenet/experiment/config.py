"""The configuration of an experiment: read from YAML, overridden, and validated once."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, NonNegativeInt, ValidationError, field_validator, model_validator

import odenet.analysis.monitors  # noqa: F401 - its kinds join the family
from odenet.analysis.compare import REFERENCE_NAME, EvaluationConfig
from odenet.data import DataConfig
from odenet.errors import ConfigError
from odenet.experiment.interpolation import escaped, resolve
from odenet.experiment.json_schema import SchemaWithBareKinds
from odenet.experiment.overrides import Overrides, apply, override_pairs, parse_override
from odenet.experiment.plugin_record import naming_missing, warn_of_changes
from odenet.experiment.start import StartConfig
from odenet.experiment.values import to_values
from odenet.experiment.yaml_file import read_yaml
from odenet.experiment.yaml_text import write
from odenet.models import ModelConfig, Outputs
from odenet.objectives import CrossEntropyConfig, MeanSquaredErrorConfig, ObjectiveConfig
from odenet.objectives.regularisers import refuse_unfit_blocks
from odenet.part import PartConfig
from odenet.part.explain import explain
from odenet.part.family import kinds_of, members_of
from odenet.training import TrainingConfig

__all__ = [
    "CompareConfig", "ExperimentConfig", "Overrides", "json_schema", "load_config",
    "override_pairs", "parse_config", "parse_override", "read_experiment", "read_yaml", "resolved",
    "to_values", "to_yaml", "variant",
]  # fmt: skip

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""A component of a path: letters, digits, dot, dash, underscore."""


_USUAL: dict[Outputs, ObjectiveConfig] = {
    "logits": CrossEntropyConfig(),
    "values": MeanSquaredErrorConfig(),
}
"""The default objective, by the outputs of the model."""


class CompareConfig(PartConfig):
    """The networks that `odenet compare` trains, and the evaluations of each."""

    networks: dict[Name, dict[str, Any]] = Field(min_length=1)
    """Name of each network, with its `dotted.key: value` overrides of the experiment. A mapping
    replaces the whole value at its key."""
    evaluate: dict[Name, EvaluationConfig] = Field(default={})
    """Name and options of each integration of a trained network whose depth is time. If empty, the
    networks are compared as trained, without verdicts."""
    threshold: float = Field(default=0.1, gt=0, le=1)
    """Largest change of the accuracy between solvers at which a network counts as
    solver-independent. Ott et al. 2021 (arXiv:2007.15386) use 0.1."""

    @field_validator("evaluate")
    @classmethod
    def _names_are_free(cls, ways: dict[str, EvaluationConfig]) -> dict[str, EvaluationConfig]:
        if REFERENCE_NAME in ways:
            raise ValueError(
                f"{REFERENCE_NAME!r} is the name of the reference solve for errors; choose "
                f"another name"
            )
        return ways


class ExperimentConfig(PartConfig):
    """An experiment: data, model, objective, training, and the comparison of networks."""

    name: Name
    """Name of the run directory: letters, digits, dot, dash, underscore."""
    description: str = ""
    seed: NonNegativeInt = Field(default=0, lt=2**32)
    """Seed of initialisation, data order and augmentation; the same seed gives the same bytes."""
    data: DataConfig
    model: ModelConfig
    objective: ObjectiveConfig | None = None
    """The minimised objective: for classifiers `cross_entropy` (default), `hinge` or `brier`; for
    regressors `mean_squared_error` (default), `mean_absolute_error` or `huber`."""
    training: TrainingConfig = TrainingConfig()
    start: StartConfig | None = None
    """Source run of the first weights; without it, all weights are initialised."""
    compare: CompareConfig | None = None
    """Used only by `odenet compare`."""

    @model_validator(mode="before")
    @classmethod
    def _objective_of_the_model(cls, data: Any) -> Any:
        """Give an objective without `kind` the default kind of the model."""
        objective = data.get("objective") if isinstance(data, dict) else None
        if not isinstance(objective, dict) or "kind" in objective:
            return data
        model = data.get("model")
        kind = model.get("kind") if isinstance(model, dict) else getattr(model, "kind", model)
        models = [part for part in members_of(ModelConfig) if kind in kinds_of(part)]
        outputs = models[0].outputs if models else "logits"
        return data | {"objective": {"kind": _USUAL[outputs].kind} | objective}

    @model_validator(mode="after")
    def _objective_fits(self):
        outputs = self.model.outputs
        if outputs in self.loss.fits:
            return self
        others = [part for part in members_of(ObjectiveConfig) if outputs in part.fits]
        kinds = [_USUAL[outputs].kind, *(kind for part in others for kind in kinds_of(part))]
        raise ValueError(
            f"objective.kind={self.loss.kind} does not fit model.kind={self.model.kind}; use "
            f"{', '.join(dict.fromkeys(kinds))}"
        )

    @model_validator(mode="after")
    def _regularisers_fit(self):
        given, training = self.loss.regularisers, self.training.uses_batch_statistics
        if given:
            refuse_unfit_blocks(given, self.model.expanded().blocks, training=training)
        return self

    @model_validator(mode="after")
    def _statistics_matter(self):
        option = self.training.statistics_option
        if option is not None and not self.model.has_batch_norm:
            raise ValueError(
                f"training.{option} would be ignored: the model has no batch norm; remove it, or "
                f"use a field of kind=residual, or model.head.norm=batch"
            )
        return self

    @model_validator(mode="after")
    def _something_is_transferred(self):
        if self.training.optimizer.transferred is not None and self.start is None:
            raise ValueError(
                "training.optimizer.transferred would be ignored: without `start` no weights come "
                "from another run; remove it, or set start.run"
            )
        return self

    @model_validator(mode="after")
    def _something_is_reinitialised(self):
        reinitialises = self.start is not None and self.start.last == "reinitialise"
        if reinitialises and not self.model.expanded().head.affine:
            raise ValueError(
                "start.last=reinitialise would be ignored: with "
                "model.head.affine=false there is no last layer; remove it"
            )
        return self

    @property
    def loss(self) -> ObjectiveConfig:
        """The objective; by default that of the outputs of the model."""
        return self.objective or _USUAL[self.model.outputs]


def load_config(
    path: Path | str,
    overrides: Overrides = (),
    environment: bool = False,
) -> ExperimentConfig:
    """Read an experiment file and set `dotted.key=value` overrides.

    Args:
        path: YAML file.
        overrides: `dotted.key=value`, the value in YAML, or a mapping from dotted keys to values.
            A mapping as value replaces the old value. A key that ends in `+` appends to a list.
        environment: Whether `${oc.env:NAME}` may refer to environment variables.

    Raises:
        ConfigError: if the file is missing or does not parse, a key is unknown, a value is of the
            wrong type or out of range, or a part would ignore an option.
    """
    path = Path(path)
    config = parse_config(read_yaml(path), overrides, str(path), environment)
    return config.model_copy(update={"data": config.data.beside(path.parent)})


def read_experiment(path: Path, overrides: Overrides = ()) -> ExperimentConfig:
    """Read the experiment of a run directory, whose file has all defaults written out.

    Args:
        path: The `config.yaml` of a run directory.
        overrides: As in `load_config`. Options at their defaults do not conflict with them, so
            that an override can replace a part.

    Raises:
        ConfigError: as `load_config`.
    """
    config = _written_experiment(path)
    return parse_config(to_values(config), overrides, str(path)) if overrides else config


def _written_experiment(path: Path) -> ExperimentConfig:
    try:
        config = parse_config(read_yaml(path), where=str(path))
    except ConfigError as error:
        # Old files hold texts such as 1e5 and ${5} without quotes, as PyYAML wrote them.
        try:
            config = parse_config(escaped(yaml.safe_load(path.read_text())), where=str(path))
        except (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError):
            raise naming_missing(error, path.parent) from None
    warn_of_changes(path.parent)
    return config


def parse_config(
    values: Mapping[str, Any],
    overrides: Overrides = (),
    where: str = "experiment",
    environment: bool = False,
) -> ExperimentConfig:
    """Apply overrides to an experiment in nested mappings, and validate it.

    Args:
        values: The experiment.
        overrides: As in `load_config`.
        where: Source of the values, for error messages.
        environment: Whether `${oc.env:NAME}` may refer to environment variables.

    Raises:
        ConfigError: as `load_config`.
    """
    plain: Any = values
    try:
        plain = resolve(
            apply(ExperimentConfig, values, override_pairs(overrides)), where, environment
        )
        return ExperimentConfig.model_validate(plain)
    except ValidationError as error:
        raise ConfigError(explain(ExperimentConfig, error, where, plain)) from error
    except RecursionError as error:
        raise ConfigError(f"{where}: the nesting is too deep") from error


def variant(config: ExperimentConfig, overrides: Overrides) -> ExperimentConfig:
    """The experiment with overrides applied.

    Args:
        config: An experiment.
        overrides: As in `load_config`.

    Raises:
        ConfigError: as `load_config`.
    """
    return parse_config(to_values(config), overrides, f"experiment {config.name}")


def to_yaml(config: ExperimentConfig) -> str:
    """An experiment as YAML with all defaults; `load_config` reads an equal experiment."""
    return write(escaped(resolved(config)))


def resolved(config: ExperimentConfig) -> dict[str, Any]:
    """The experiment as plain values with all defaults, without options that are None."""
    return config.model_dump(mode="json", exclude_none=True)


def json_schema() -> str:
    """JSON schema of experiment files, for editors."""
    schema = ExperimentConfig.model_json_schema(schema_generator=SchemaWithBareKinds)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=1) + "\n"
