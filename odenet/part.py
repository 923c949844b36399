"""The contract of a part's configuration: frozen, strict about its keys, chosen by `kind`."""

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class PartConfig(BaseModel):
    """Base of every configuration: one frozen model beside each part that it builds.

    A part that can be exchanged has a literal `kind`; a union of such parts is discriminated by
    it, and a mapping without `kind` is of the default's kind. Unknown keys are errors, so an
    option that the chosen part would ignore is refused. There is no registry beside these unions:
    to add a part, write its config and add it to the union.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _default_kinds(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        kinds = {
            name: getattr(field.default, "kind")  # noqa: B009 - not every part has one
            for name, field in cls.model_fields.items()
            if isinstance(field.default, PartConfig) and hasattr(field.default, "kind")
        }
        return {
            name: {"kind": kinds[name], **value}
            if name in kinds and isinstance(value, dict) and "kind" not in value
            else value
            for name, value in data.items()
        }
