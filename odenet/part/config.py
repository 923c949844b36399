"""The contract of a part's configuration: frozen, strict about its keys, chosen by `kind`."""

import functools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from odenet.errors import ConfigError
from odenet.part.explain import NotANumber, explain
from odenet.part.family import CONTRACT, adapter_of, found, is_contract, join, validated
from odenet.part.kinds import (
    default_of,
    direct_parts,
    element,
    item,
    kinds_of,
    members,
    takes_numbers_alone,
    takes_text,
)
from odenet.part.old_keys import with_new_names


class _PartMeta(type(BaseModel)):
    """Raises the same errors for configurations made in Python as for those read from a file."""

    if not TYPE_CHECKING:  # it would hide the type of a call from a type checker

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            if is_contract(cls):
                raise TypeError(
                    f"{cls.__name__} is a contract, which has no objects of its own; give its "
                    f"subclass a kind, such as `kind: Literal['gated'] = 'gated'`"
                )
            try:
                return super().__call__(*args, **kwargs)
            except ValidationError as error:
                # Pydantic's own text is left out: it names pydantic's documentation and no remedy.
                raise ConfigError(explain(cls, error, cls.__name__, kwargs)) from None


class PartConfig(BaseModel, metaclass=_PartMeta):
    """Base of every configuration: one frozen model beside each part that it builds.

    A part that can be exchanged has a literal `kind` and belongs to a family: a contract, made by
    `class VectorFieldConfig(PartConfig, abc.ABC, family="field")`, whose concrete subclasses are
    its kinds. An option with the contract for its annotation takes any of them, as an object or as
    a mapping with `kind`. A mapping without `kind` has the kind of the default. A bare kind,
    `rk4`, is short for `{kind: rk4}`. Unknown keys are errors, so that no option is ignored. A
    boolean is not accepted as a number. There is no other registry: to add a part, write its
    config.

    Attributes:
        renamed_keys: New names of options by old names. Old names are read with a warning.
        renamed_values: New values by old values, by option. Old values are read with a warning.

    Raises:
        ConfigError: if an option is unknown, of the wrong type, or out of range.
    """

    renamed_keys: ClassVar[Mapping[str, str]] = {}
    renamed_values: ClassVar[Mapping[str, Mapping[str, str]]] = {}

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True
    )

    def __init_subclass__(cls, *, family: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if family is not None:
            found(cls, family)

    @classmethod
    def __pydantic_init_subclass__(cls, *, family: str | None = None, **kwargs: Any) -> None:
        """Register a kind as a member of its families."""
        del family
        super().__pydantic_init_subclass__(**kwargs)
        join(cls)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The schema by pydantic; for a contract, a validator that looks up members per call."""
        if not is_contract(cls):
            return handler(source)
        return core_schema.no_info_plain_validator_function(
            functools.partial(validated, cls), metadata={CONTRACT: cls}
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The JSON schema by pydantic; for a contract, the union over its members."""
        return handler(adapter_of(cls).core_schema if is_contract(cls) else schema)

    @classmethod
    def upgraded(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Translate keys and values of an earlier release into those of this release.

        Args:
            data: The mapping from the file or the call.
        """
        return with_new_names(data, cls.renamed_keys, cls.renamed_values)

    @model_validator(mode="before")
    @classmethod
    def _as_written(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data, fields = cls.upgraded(data), cls.model_fields
        return {
            name: _spelt_out(fields[name].annotation, value, default_of(fields[name]))
            if name in fields
            else value
            for name, value in data.items()
        }


def _spelt_out(annotation: Any, value: Any, default: Any = None) -> Any:
    """Write out the kinds of the parts in a value, and mark non-numbers as `NotANumber`."""
    if isinstance(value, str):
        return _part_or_text(annotation, value)
    if isinstance(value, bool) and takes_numbers_alone(annotation):
        return NotANumber(value)
    if isinstance(value, (list, tuple)) and (inner := element(annotation)) is not None:
        return [_spelt_out(inner, one) for one in value]
    if not isinstance(value, dict):
        return value
    if (inner := item(annotation)) is not None:
        return {name: _spelt_out(inner, one) for name, one in value.items()}
    if "kind" not in value and isinstance(default, PartConfig) and kinds_of(type(default)):
        return {"kind": getattr(default, "kind"), **value}  # noqa: B009 - not every part has one
    return value


def _part_or_text(annotation: Any, text: str) -> Any:
    kinds = [kind for part in direct_parts(annotation) for kind in kinds_of(part)]
    if kinds and not takes_text(annotation) and not _is_choice(annotation, text):
        return {"kind": text}
    if takes_numbers_alone(annotation) and re.match(r"[-+]?0[0-9]", text):
        return NotANumber(text)
    return text


def _is_choice(annotation: Any, text: str) -> bool:
    return any(text in getattr(member, "__args__", ()) for member in members(annotation))
