r"""The residual networks of He et al., by depth: their stages, units and shortcuts.

References: [1] He et al. 2015, arXiv:1512.03385, table 1 and sec. 4.2. [2] He et al. 2016,
arXiv:1603.05027, appendix. [3] Antil, Díaz and Herberg 2022, arXiv:2204.08528, for `tau`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from flax import nnx
from pydantic import (
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from odenet.depth.step_sizes import FixedStepSizesConfig, StepSizesConfig
from odenet.fields import ResidualFieldConfig
from odenet.fields.arrangement import Arrangement
from odenet.fields.initialisers import InitialiserName
from odenet.fields.layers import Padding
from odenet.integrators import ExplicitConfig, IntegratorConfig
from odenet.models.blocks import DepthBlockConfig
from odenet.models.head import HeadConfig
from odenet.models.model_config import ModelConfig, Outputs
from odenet.models.network import ClassifierConfig, Network, StageConfig
from odenet.models.projections import (
    ConvConfig,
    IdentityConfig,
    LinearConfig,
    MatrixConfig,
    ZeroPadConfig,
)
from odenet.models.published_depths import (
    BOTTLENECK_FROM,
    CIFAR_BOTTLENECKS,
    IMAGENET_UNITS,
    require_whole_units,
)
from odenet.models.shortcuts import ShortcutConfig
from odenet.models.stage_step_sizes import require_one_each
from odenet.models.transition import StageProjectionConfig, TransitionConfig

_EXPANSION = 4

_ACTS_FIRST: tuple[Arrangement, ...] = ("relu_only_preactivation", "full_preactivation")
"""Arrangements with a norm or ReLU before the first weight: the stem applies it for the first unit,
and a projection shortcut starts after it [2, appendix]."""


class ResNetConfig(ModelConfig):
    """A residual network as published, specified by its depth, the number of layers with weights.

    `layout: cifar` has three stages of `n` units: 20, 32, 44, 56, 110, 1202 layers are `6 n + 2`
    with basic units, 164 and 1001 are `9 n + 2` with bottlenecks. `layout: imagenet` has four, for
    18, 34, 50, 101 and 152 layers. `arrangement: full_preactivation` gives version 2.
    """

    renamed_values: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "last_init": {"as_drawn": "unscaled"}
    }

    kind: Literal["resnet"] = "resnet"

    outputs: ClassVar[Outputs] = "logits"

    depth: PositiveInt = 20
    """Number of layers with weights, without projection shortcuts."""
    layout: Literal["cifar", "imagenet", "vector"] = "cifar"
    """`cifar`: a 3x3 convolution, then three stages; `imagenet`: a 7x7 convolution of stride 2 and
    a max pooling, then four stages; `vector`: as `cifar`, with matrices instead of
    convolutions."""
    arrangement: Arrangement = "original"
    """Order of weights, batch norm, ReLU and sum in a unit."""
    unit: Literal["basic", "bottleneck"] | None = None
    """The residual unit; default, as published: `bottleneck` for ImageNet from 50 layers on and for
    164 and 1001 layers of the other layouts, else `basic`."""
    width: PositiveInt | None = None
    """Inner channels of the units in the first stage; default: 16, and 64 for ImageNet. Every stage
    has twice as many as the previous one."""
    shortcut: Literal["zero_pad", "projection", "projection_everywhere"] | None = None
    """Options A, B and C of He et al. 2015: zero padding (A) or a learned map (B) where shapes
    change, or learned maps around every unit (C). Default: A for basic units in the CIFAR
    networks, else B."""
    zeros: Literal["after", "around"] = "after"
    """Position of the new channels of option A: `after` the old ones, or half on either side."""
    strided_weight: Literal[1, 2] = 1
    """The strided weight of a bottleneck: the first, 1x1, as published, or the second, 3x3, as in
    torchvision."""
    padding: Padding = "symmetric"
    """Zero padding of convolutions with a stride, and of the max pooling: `symmetric`, equal on
    every side, as published and in PyTorch, or `same`, the minimal padding that keeps every pixel,
    as `SAME` in Flax and TensorFlow. Weights trained with one do not fit the other."""
    stem_padding: Padding | None = None
    """Padding of the 7x7 convolution of layout=imagenet, which is `symmetric` in the examples of
    Flax, unlike the other convolutions; default: `padding`."""
    step_sizes: StepSizesConfig | tuple[StepSizesConfig, ...] = FixedStepSizesConfig()
    """The step sizes of all units: one choice for all stages, or one for each. The first unit of a
    stage is a separate layer if it changes the shape, and in the first stage with pre-activation:
    with `sharing: shared` it has its own `tau`."""
    integrator: IntegratorConfig = ExplicitConfig()
    """The integration method of the units of equal shape in a stage."""
    init: InitialiserName = "he_fan_out"
    """Initialiser of the weights."""
    last_init: Literal["unscaled", "zero"] = "unscaled"
    """Initial factor of the last map of every branch; with `zero`, every branch is 0 at
    initialisation."""
    norm_epsilon: PositiveFloat = 1e-5
    """Added to the variances of all batch norms: in units, stem, head, and projection shortcuts."""
    momentum: float = Field(default=0.1, gt=0, le=1)
    """Weight of the batch in the update of the running statistics of all batch norms."""

    @field_validator("step_sizes", mode="before")
    @classmethod
    def _kind_of_the_default(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        return tuple(
            {"kind": "fixed"} | one if isinstance(one, dict) and "kind" not in one else one
            for one in value
        )

    @model_validator(mode="after")
    def _is_published(self):
        if self.layout == "imagenet" and self.depth not in IMAGENET_UNITS:
            raise ValueError(
                f"depth of layout=imagenet is one of {list(IMAGENET_UNITS)}; got {self.depth}"
            )
        if self.layout == "imagenet" and self.unit is not None:
            raise ValueError(
                f"depth={self.depth} of layout=imagenet has units of kind {self.unit_kind}, so "
                f"unit would be ignored; remove it"
            )
        if self.layout != "imagenet":
            require_whole_units(self.depth, self.layout, self.unit_kind)
        if self.option != "zero_pad" and self.zeros != "after":
            raise ValueError(f"shortcut={self.option} would ignore zeros; remove it")
        if self.unit_kind == "basic" and self.strided_weight != 1:
            raise ValueError("strided_weight is an option of bottlenecks; remove it")
        if self.layout == "vector" and self.strided_weight != 1:
            raise ValueError("layout=vector has no strides and would ignore strided_weight")
        if self.layout == "vector" and self.padding != "symmetric":
            raise ValueError("layout=vector has no images and would ignore padding; remove it")
        if self.layout != "imagenet" and self.stem_padding is not None:
            raise ValueError("stem_padding needs the stride of layout=imagenet; remove it")
        if isinstance(self.step_sizes, tuple) and len(self.step_sizes) != len(self.units):
            n, got = len(self.units), len(self.step_sizes)
            raise ValueError(f"step_sizes: one choice, or one for each of {n} stages; got {got}")
        try:
            self.expanded()
        except ValidationError as error:
            message = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise ValueError(message) from error
        return self

    @property
    def resnet(self) -> "ResNetConfig":
        """The options themselves."""
        return self

    @property
    def blocks(self) -> list[Any]:
        """The block of every stage."""
        return self.expanded().blocks

    @property
    def has_batch_norm(self) -> bool:
        """Whether any part has batch statistics: yes."""
        return True

    def check_trainable(self, *, training: bool) -> None:
        """Refuse a network that can be evaluated, but not trained; see `NetworkConfig`."""
        self.expanded().check_trainable(training=training)

    def build(self, input_shape: tuple[int, ...], num_outputs: int, *, rngs: nnx.Rngs) -> Network:
        """Make the network for inputs of `input_shape` (one example's).

        Raises:
            ConfigError: naming the stage, if shapes do not fit.
        """
        return self.expanded().build(input_shape, num_outputs, rngs=rngs)

    @property
    def unit_kind(self) -> Literal["basic", "bottleneck"]:
        """The residual unit, as chosen or as published."""
        if self.unit is not None:
            return self.unit
        if self.layout == "imagenet":
            is_deep = self.depth >= BOTTLENECK_FROM
        else:
            is_deep = self.depth in CIFAR_BOTTLENECKS
        return "bottleneck" if is_deep else "basic"

    @property
    def units(self) -> tuple[int, ...]:
        """Number of units in each stage."""
        if self.layout == "imagenet":
            return IMAGENET_UNITS[self.depth]
        return ((self.depth - 2) // (6 if self.unit_kind == "basic" else 9),) * 3

    @property
    def option(self) -> Literal["zero_pad", "projection", "projection_everywhere"]:
        """The shortcuts, as chosen or as published."""
        if self.shortcut is not None:
            return self.shortcut
        is_free = self.layout != "imagenet" and self.unit_kind == "basic"
        return "zero_pad" if is_free else "projection"

    def expanded(self) -> ClassifierConfig:
        """The network as an explicit list of stem, stages and head."""
        is_imagenet = self.layout == "imagenet"
        width = self.width or (64 if is_imagenet else 16)
        stages = tuple(self._stages(width))
        relu_is_last = self.arrangement in ("full_preactivation", "relu_only_preactivation")
        return ClassifierConfig(
            stem=self._stem(),
            stem_width=None if stages[0].projection.is_identity else width,
            stages=stages,
            head=HeadConfig(
                **self._norm(self.arrangement == "full_preactivation"),
                activation="relu" if relu_is_last else "identity",
                init="uniform_fan_in",
            ),
        )

    def _stem(self) -> ConvConfig | LinearConfig:
        if self.layout == "vector":
            return LinearConfig(init=self.init, bias=False, activation="relu", **self._norm())
        is_imagenet = self.layout == "imagenet"
        return ConvConfig(
            kernel_size=7 if is_imagenet else 3,
            stride=2 if is_imagenet else 1,
            padding=self.stem_padding or self.padding,
            bias=False,
            init=self.init,
            **self._norm(),
            activation="relu",
            max_pool=is_imagenet,
            pool_padding=self.padding if is_imagenet else "symmetric",
        )

    def _stages(self, width: int) -> Iterator[StageConfig]:
        field = ResidualFieldConfig(
            arrangement=self.arrangement,
            unit=self.unit_kind,
            norm_epsilon=self.norm_epsilon,
            momentum=self.momentum,
            init=self.init,
            last_init=self.last_init,
        )
        before, given = width, self.step_sizes
        for index, num_units in enumerate(self.units):
            outer = width * 2**index * (_EXPANSION if self.unit_kind == "bottleneck" else 1)
            sizes = given[index] if isinstance(given, tuple) else given
            require_one_each(sizes, index, num_units)
            stride = 2 if index and self.layout != "vector" else 1
            changes = stride > 1 or outer != before
            activated = index == 0 and self.arrangement in _ACTS_FIRST
            first: StageProjectionConfig = IdentityConfig()
            if changes or activated:
                own, sizes = sizes.divided(num_units)
                num_units -= 1
                first = TransitionConfig(
                    field=field,
                    shortcut=self._around(stride, changes),
                    stride=stride,
                    strided_weight=self.strided_weight if stride > 1 else None,
                    padding=self.padding if stride > 1 else "symmetric",
                    activated=activated,
                    step_sizes=own,
                )
            block = DepthBlockConfig(
                field=field,
                num_steps=num_units,
                step_sizes=sizes,
                shortcut=self._around(1, False),
                integrator=self.integrator,
            )
            yield StageConfig(width=outer, projection=first, block=block)
            before = outer

    def _around(self, stride: int, changes: bool) -> ShortcutConfig:
        """The shortcut of a unit that changes the shape, or of one that keeps it."""
        if self.option == "zero_pad" and changes:
            return ZeroPadConfig(stride=stride, zeros=self.zeros)
        if self.option != "projection_everywhere" and not changes:
            return IdentityConfig()
        if self.layout == "vector":
            return MatrixConfig(init=self.init, learned=True)
        norm = self._norm(self.arrangement not in _ACTS_FIRST)
        return ConvConfig(kernel_size=1, stride=stride, bias=False, init=self.init, **norm)

    def _norm(self, present: bool = True) -> dict[str, Any]:
        """The options of a batch norm outside the units, or of no norm."""
        if not present:
            return {"norm": "none"}
        return {"norm": "batch", "norm_epsilon": self.norm_epsilon, "momentum": self.momentum}
