"""Vector fields `f(t, h)`: the right-hand sides of the ODEs."""

from odenet.fields.activations import ActivationName as ActivationName
from odenet.fields.antisymmetric import AntisymmetricField as AntisymmetricField
from odenet.fields.antisymmetric import AntisymmetricFieldConfig as AntisymmetricFieldConfig
from odenet.fields.base import VectorField as VectorField
from odenet.fields.base import VectorFieldConfig as VectorFieldConfig
from odenet.fields.conv import ConvField as ConvField
from odenet.fields.conv import ConvFieldConfig as ConvFieldConfig
from odenet.fields.data_controlled import DataControlledField as DataControlledField
from odenet.fields.data_controlled import (
    DataControlledFieldConfig as DataControlledFieldConfig,
)
from odenet.fields.dense import DenseField as DenseField
from odenet.fields.dense import DenseFieldConfig as DenseFieldConfig
from odenet.fields.depth_adaptive import DepthAdaptiveField as DepthAdaptiveField
from odenet.fields.depth_adaptive import DepthAdaptiveFieldConfig as DepthAdaptiveFieldConfig
from odenet.fields.hamiltonian import HamiltonianField as HamiltonianField
from odenet.fields.hamiltonian import HamiltonianFieldConfig as HamiltonianFieldConfig
from odenet.fields.hamiltonian import TwoLayerHamiltonianField as TwoLayerHamiltonianField
from odenet.fields.hamiltonian import (
    TwoLayerHamiltonianFieldConfig as TwoLayerHamiltonianFieldConfig,
)
from odenet.fields.mlp import MLPField as MLPField
from odenet.fields.mlp import MLPFieldConfig as MLPFieldConfig
from odenet.fields.parabolic import ParabolicField as ParabolicField
from odenet.fields.parabolic import ParabolicFieldConfig as ParabolicFieldConfig
from odenet.fields.residual import ResidualField as ResidualField
from odenet.fields.residual import ResidualFieldConfig as ResidualFieldConfig
from odenet.fields.second_order import SecondOrderField as SecondOrderField
from odenet.fields.second_order import SecondOrderFieldConfig as SecondOrderFieldConfig
