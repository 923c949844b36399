"""Vector fields `f(t, h)`."""

from typing import Annotated

from pydantic import Field

from odenet.fields.base import ActivationName as ActivationName
from odenet.fields.base import VectorField as VectorField
from odenet.fields.conv import ConvField as ConvField
from odenet.fields.conv import ConvFieldConfig as ConvFieldConfig
from odenet.fields.mlp import MLPField as MLPField
from odenet.fields.mlp import MLPFieldConfig as MLPFieldConfig
from odenet.fields.residual import ResidualField as ResidualField
from odenet.fields.residual import ResidualFieldConfig as ResidualFieldConfig

FieldConfig = Annotated[
    MLPFieldConfig | ConvFieldConfig | ResidualFieldConfig, Field(discriminator="kind")
]
