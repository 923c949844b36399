"""JSON schema of configurations, with the bare kind that is short for a part of that kind."""

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema


class SchemaWithBareKinds(GenerateJsonSchema):
    """Allows `rk4` where `{kind: rk4}` is allowed."""

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        """One of the parts, or the kind of one."""
        kinds = [str(kind) for kind in schema["choices"]]
        return {"anyOf": [super().tagged_union_schema(schema), {"enum": kinds}]}
