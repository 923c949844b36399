"""The geometry of a convolution and of its input gradient."""

import dataclasses
import itertools
import math
from collections.abc import Iterator

Sizes = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Geometry:
    """Where the window of a convolution stands, in every spatial axis.

    Images are `(batch, *spatial, channels)`, kernels `(*spatial, channels / groups, outputs)`.

    Args:
        input_size: Size of the image.
        kernel_size: Size of the kernel.
        strides: Distance between two windows.
        padding: Zeros before and after the image; negative numbers crop it.
        dilation: Distance between two elements of the kernel.
        groups: Number of groups of channels that do not see each other.
    """

    input_size: Sizes
    kernel_size: Sizes
    strides: Sizes
    padding: tuple[tuple[int, int], ...]
    dilation: Sizes
    groups: int = 1

    @property
    def output_size(self) -> Sizes:
        """Size of the result, 0 along an axis that is shorter than the window."""
        return tuple(
            max(0, (size + low + high - dilation * (kernel - 1) - 1) // stride + 1)
            for size, kernel, stride, (low, high), dilation in zip(
                self.input_size,
                self.kernel_size,
                self.strides,
                self.padding,
                self.dilation,
                strict=True,
            )
        )

    @property
    def num_taps(self) -> int:
        """Number of elements of the kernel for one pair of channels."""
        return math.prod(self.kernel_size)

    @property
    def is_dense(self) -> bool:
        """Whether every window is whole: stride 1, no dilation, one group."""
        ones = (1,) * len(self.strides)
        return self.strides == ones and self.dilation == ones and self.groups == 1

    def with_groups(self, groups: int) -> "Geometry":
        """The same windows over another number of groups."""
        return dataclasses.replace(self, groups=groups)

    def flipped(self) -> "Geometry":
        """The convolution of the output's cotangent with the flipped kernel, for stride 1.

        It gives the cotangent of the input: $\\bar x_i = \\sum_k \\bar y_{i + p - dk} w_k$.
        """
        assert self.strides == (1,) * len(self.strides)
        padding = []
        sizes = zip(self.input_size, self.kernel_size, self.padding, self.dilation, strict=True)
        for output, (size, kernel, (low, _), dilation) in zip(self.output_size, sizes, strict=True):
            reach = dilation * (kernel - 1)
            padding.append((reach - low, size - output + low))
        return dataclasses.replace(self, input_size=self.output_size, padding=tuple(padding))

    def taps(self) -> Iterator[tuple[tuple[int, int, int], ...]]:
        """For every element of the kernel, in order: the pixels of the padded image that it meets.

        A tap is one `(start, stop, step)` per axis.
        """
        axes = []
        for output, kernel, stride, dilation in zip(
            self.output_size, self.kernel_size, self.strides, self.dilation, strict=True
        ):
            starts = [dilation * k for k in range(kernel)]
            axes.append([(start, start + stride * (output - 1) + 1, stride) for start in starts])
        return itertools.product(*axes)
