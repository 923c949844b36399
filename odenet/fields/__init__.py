"""Vector fields `f(t, h)`."""

from typing import Annotated

from pydantic import Field

from odenet.fields.base import ActivationName as ActivationName
from odenet.fields.base import VectorField as VectorField
from odenet.fields.conv import ConvField as ConvField
from odenet.fields.conv import ConvFieldConfig as ConvFieldConfig
from odenet.fields.mlp import MLPField as MLPField
from odenet.fields.mlp import MLPFieldConfig as MLPFieldConfig

FieldConfig = Annotated[MLPFieldConfig | ConvFieldConfig, Field(discriminator="kind")]
