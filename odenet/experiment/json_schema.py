"""JSON schema of configurations, including bare kinds as short forms of parts."""

from typing import Any

from pydantic.json_schema import CoreRef, GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from odenet.part.family import CONTRACT, adapter_of


class SchemaWithBareKinds(GenerateJsonSchema):
    """Allows `rk4` for `{kind: rk4}`, and every member of a family for its contract."""

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        """The schema of a union of parts: one of the parts, or a bare kind."""
        kinds = [str(kind) for kind in schema["choices"]]
        return {"anyOf": [super().tagged_union_schema(schema), {"enum": kinds}]}

    def generate_inner(self, schema: Any) -> JsonSchemaValue:
        """The schema by pydantic; for a contract, a reference to the union of its members."""
        contract = schema.get("metadata", {}).get(CONTRACT)
        if contract is None:
            return super().generate_inner(schema)
        name = CoreRef(f"{contract.__module__}.{contract.__qualname__}:{id(contract)}")
        definition, reference = self.get_cache_defs_ref_schema(name)
        if definition not in self.definitions:
            self.definitions[definition] = {}  # a member may refer to the contract again
            self.definitions[definition] = super().generate_inner(adapter_of(contract).core_schema)
        return reference
