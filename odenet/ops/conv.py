"""Convolution with a choice of algorithm on CPU, in value and in every derivative.

Three bilinear maps belong to a convolution: the image and the kernel give the output, the output's
cotangent and the kernel give the image's, the image and the output's cotangent give the kernel's.
Each is the transpose of the two others, so they are three primitives whose derivatives are each
other: forward and reverse mode, of any order, stay among them. On a GPU or TPU all three are XLA's
own. On a CPU, where XLA's kernel gradient is slow, and very slow inside a loop, each is computed as
`odenet/ops/conv_cpu.py` chooses.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from odenet.arrays import Array, Float
from odenet.ops import conv_cpu, conv_xla
from odenet.ops.geometry import Geometry


def conv_general_dilated(
    lhs: Float[Array, "..."],
    rhs: Float[Array, "..."],
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    precision: Any = None,
    **options: Any,
) -> Float[Array, "..."]:
    r"""`jax.lax.conv_general_dilated`, fast on a CPU too.

    $y_{n,i,o} = \sum_{k,c} x_{n, s i + d k - p, c}\, w_{k,c,o}$ with stride `s`, dilation `d`
    and padding `p`. Values and derivatives equal XLA's to round-off. `flax.nnx.Conv` takes this
    function as its `conv_general_dilated`.

    Args:
        lhs: Images, shape `(batch, *spatial, channels)`.
        rhs: Kernels, shape `(*spatial, channels / groups, outputs)`, of the same dtype.
        window_strides: Distance between two windows, one per spatial axis.
        padding: `SAME`, `VALID`, or zeros before and after each spatial axis.
        lhs_dilation: Distance between two pixels of the image; others than 1 are left to XLA.
        rhs_dilation: Distance between two elements of the kernel.
        dimension_numbers: As in `jax.lax`; layouts other than channels last are left to XLA.
        feature_group_count: Number of groups of channels.
        precision: As in `jax.lax`; anything but None is left to XLA.
        **options: Further options of `jax.lax`; anything but None is left to XLA.

    Raises:
        TypeError, ValueError: as `jax.lax.conv_general_dilated` does.
    """
    rank = lhs.ndim - 2
    ours = (
        rank in conv_xla.LAYOUTS
        and _is_channels_last(dimension_numbers, rank)
        and set(lhs_dilation or (1,)) == {1}
        and precision is None
        and all(option is None for option in options.values())
        and jnp.issubdtype(lhs.dtype, jnp.floating)
        and min(*lhs.shape, *rhs.shape) > 0
        and _is_placed_by_the_compiler(lhs, rhs)
    )
    original = functools.partial(
        lax.conv_general_dilated,
        window_strides=window_strides,
        padding=padding,
        lhs_dilation=lhs_dilation,
        rhs_dilation=rhs_dilation,
        dimension_numbers=dimension_numbers,
        feature_group_count=feature_group_count,
        precision=precision,
        **options,
    )
    if not ours:
        return original(lhs, rhs)
    output = jax.eval_shape(original, lhs, rhs)  # every check of jax.lax, with its messages
    dilation = tuple(rhs_dilation or (1,) * rank)
    if isinstance(padding, str):
        reach = [(k - 1) * d + 1 for k, d in zip(rhs.shape[:-2], dilation, strict=True)]
        padding = lax.padtype_to_pads(lhs.shape[1:-1], reach, window_strides, padding)
    geometry = Geometry(
        lhs.shape[1:-1],
        rhs.shape[:-2],
        tuple(window_strides),
        tuple((low, high) for low, high in padding),
        dilation,
        feature_group_count,
    )
    assert output.shape[1:-1] == geometry.output_size
    if 0 in output.shape:
        return original(lhs, rhs)
    return forward_convolution.bind(lhs, rhs, geometry=geometry)


def _is_channels_last(dimension_numbers: Any, rank: int) -> bool:
    if dimension_numbers is None:
        return False
    ones = (1,) * (rank + 2)
    expected = lax.conv_dimension_numbers(ones, ones, conv_xla.LAYOUTS[rank])
    return lax.conv_dimension_numbers(ones, ones, dimension_numbers) == expected


def _is_placed_by_the_compiler(*arrays: Array) -> bool:
    """Whether no axis has a sharding in its type, which only XLA's own maps would carry on."""
    return all(axis is None for array in arrays for axis in jax.typeof(array).sharding.spec)


Map = Callable[[Array, Array, Geometry], Array]


def _primitive(name: str, shape: Callable, on_cpu: Map, elsewhere: Map) -> Primitive:
    """A bilinear map with a result of `shape(a, b, geometry)` and one lowering per platform."""
    primitive = Primitive(name)

    @primitive.def_abstract_eval
    def _(a, b, *, geometry):
        return ShapedArray(shape(a.shape, b.shape, geometry), a.dtype)

    @functools.cache
    def compiled(geometry):
        return jax.jit(functools.partial(primitive.bind, geometry=geometry))

    primitive.def_impl(lambda a, b, *, geometry: compiled(geometry)(a, b))
    for function, platform in ((elsewhere, None), (on_cpu, "cpu")):
        lowered = mlir.lower_fun(
            lambda a, b, *, geometry, function=function: function(a, b, geometry),
            multiple_results=False,
        )
        mlir.register_lowering(primitive, lowered, platform=platform)
    return primitive


forward_convolution = _primitive(
    "odenet_conv",
    lambda x, w, geometry: (x[0], *geometry.output_size, w[-1]),
    conv_cpu.forward,
    conv_xla.forward,
)
_input_gradient = _primitive(
    "odenet_conv_input_gradient",
    lambda g, w, geometry: (g[0], *geometry.input_size, w[-2] * geometry.groups),
    conv_cpu.input_gradient,
    conv_xla.input_gradient,
)
_kernel_gradient = _primitive(
    "odenet_conv_kernel_gradient",
    lambda x, g, geometry: (*geometry.kernel_size, x[-1] // geometry.groups, g[-1]),
    conv_cpu.kernel_gradient,
    conv_xla.kernel_gradient,
)

# y(x, w), x(g, w) and w(x, g): a cotangent stands where the result stood.
ad.defbilinear(
    forward_convolution,
    lambda g, x, w, geometry: _input_gradient.bind(g, w, geometry=geometry),
    lambda g, x, w, geometry: _kernel_gradient.bind(x, g, geometry=geometry),
)
ad.defbilinear(
    _input_gradient,
    lambda x, g, w, geometry: forward_convolution.bind(x, w, geometry=geometry),
    lambda x, g, w, geometry: _kernel_gradient.bind(x, g, geometry=geometry),
)
ad.defbilinear(
    _kernel_gradient,
    lambda w, x, g, geometry: _input_gradient.bind(g, w, geometry=geometry),
    lambda w, x, g, geometry: forward_convolution.bind(x, w, geometry=geometry),
)


# vmap. Images (x, g) and kernels (w) carry the mapped axis in a channel axis, kernels in that of
# their inputs or of their outputs.


def _into_channels(array: Array, axis: int, position: int) -> Array:
    """Move the mapped axis in front of the array's axis `position`, and merge the two."""
    position %= array.ndim
    moved = jnp.moveaxis(array, axis, position - 1)
    before, (size, channels), after = (
        moved.shape[: position - 1],
        moved.shape[position - 1 : position + 1],
        moved.shape[position + 1 :],
    )
    return moved.reshape(*before, size * channels, *after)


def _out_of_channels(array: Array, size: int, position: int) -> tuple[Array, int]:
    """Undo `_into_channels`: the mapped axis comes first."""
    position %= array.ndim
    before, merged, after = (
        array.shape[:position],
        array.shape[position],
        array.shape[position + 1 :],
    )
    return jnp.moveaxis(array.reshape(*before, size, merged // size, *after), position, 0), 0


def _into_batch(array: Array, axis: int) -> Array:
    moved = jnp.moveaxis(array, axis, 0)
    return moved.reshape(moved.shape[0] * moved.shape[1], *moved.shape[2:])


def _batched(primitive: Primitive, a_axis: int, b_axis: int, result_axis: int) -> Callable:
    """The batching rule of a map whose operands share no axis but the batch and one channel.

    Args:
        primitive: The map.
        a_axis: Channel axis of the first operand that the result keeps.
        b_axis: The same of the second.
        result_axis: The channel axis of the result that grows with the one, or with both.
    """

    def rule(operands, dims, *, geometry):
        (a, b), (a_dim, b_dim) = operands, dims
        a_mapped, b_mapped = a_dim is not None, b_dim is not None
        size = a.shape[a_dim] if a_mapped else b.shape[b_dim]
        bind = functools.partial(primitive.bind, geometry=geometry)
        if a_mapped and not b_mapped and primitive is not _kernel_gradient:
            result = bind(_into_batch(a, a_dim), b)
            return result.reshape(size, -1, *result.shape[1:]), 0
        if geometry.groups == 1 and not (a_mapped and b_mapped):
            if a_mapped:
                result = bind(_into_channels(a, a_dim, a_axis), b)
                return _out_of_channels(result, size, -2)
            result = bind(a, _into_channels(b, b_dim, b_axis))
            return _out_of_channels(result, size, result_axis)
        # Both are mapped, or groups are in the way: each element becomes groups of its own.
        if not a_mapped:
            a, a_dim = jnp.broadcast_to(a, (size, *a.shape)), 0
        if not b_mapped:
            b, b_dim = jnp.broadcast_to(b, (size, *b.shape)), 0
        grouped = primitive.bind(
            _into_channels(a, a_dim, -1),
            _into_channels(b, b_dim, -1),
            geometry=geometry.with_groups(geometry.groups * size),
        )
        return _out_of_channels(grouped, size, -1)

    return rule


batching.primitive_batchers[forward_convolution] = _batched(forward_convolution, -1, -1, -1)
batching.primitive_batchers[_input_gradient] = _batched(_input_gradient, -1, -2, -1)
batching.primitive_batchers[_kernel_gradient] = _batched(_kernel_gradient, -1, -1, -1)
