"""The three maps of a convolution in a loop: the package's algorithms against XLA's."""

import math
from collections.abc import Callable

import jax
from jax import lax

from benchmarks.declaration import Settings, Survey, Table
from benchmarks.turns import in_turns, looped
from odenet.ops.conv import conv_general_dilated

SHAPES = (
    ("3x3, 32x32x16", (32, 32, 16), (3, 3, 16, 16), 1, 1),
    ("3x3, 16x16x32", (16, 16, 32), (3, 3, 32, 32), 1, 1),
    ("3x3, 8x8x64", (8, 8, 64), (3, 3, 64, 64), 1, 1),
    ("3x3, 6x6x64", (6, 6, 64), (3, 3, 64, 64), 1, 1),
    ("4x4 stride 2, 26x26x64", (26, 26, 64), (4, 4, 64, 64), 2, 1),
    ("1x1, 16x16x64", (16, 16, 64), (1, 1, 64, 64), 1, 0),
)
"""Label, image, kernel, stride, padding."""

MAPS = ("forward", "input gradient", "kernel gradient")

BENCHMARK = Survey(
    name="convolution",
    about="forward, input gradient and kernel gradient of a convolution in a compiled loop",
    module="benchmarks.cases.convolution",
    settings={"shapes": SHAPES, "batch": 128, "loops": 2, "repeats": 5},
    quick_settings={"shapes": SHAPES[-3:-1], "batch": 2, "loops": 2, "repeats": 1},
)


def survey(settings: Settings) -> list[Table]:
    """One row for every shape and map."""
    rows = []
    for label, image, kernel, stride, padding in settings["shapes"]:
        x = jax.random.normal(jax.random.key(0), (settings["batch"], *image))
        w = jax.random.normal(jax.random.key(1), kernel) / math.sqrt(math.prod(kernel[:3]))
        for name in MAPS:
            programs = [
                looped(*bilinear_map(name, convolve, x, w, stride, padding), settings["loops"])
                for convolve in (conv_general_dilated, lax.conv_general_dilated)
            ]
            ours, theirs = in_turns(programs, settings["repeats"])
            calls = settings["loops"]
            rows.append([label, name, ours / calls, theirs / calls, ours / theirs])
    columns = ["convolution", "map", "odenet (s)", "XLA (s)", "ratio"]
    note = (
        f"Batch {settings['batch']}, as many outputs as channels, {settings['loops']} sequential "
        "evaluations in a loop; times are per evaluation. Where both sides run the same algorithm, "
        "the ratio is 1 up to noise."
    )
    return [Table("maps", columns, rows, note)]


Map = Callable[[jax.Array, jax.Array], jax.Array]


def bilinear_map(
    name: str, convolve: Callable[..., jax.Array], x: jax.Array, w: jax.Array, *window: int
) -> tuple[Map, tuple[jax.Array, jax.Array]]:
    """One of the three maps with the convolution of one side, and its operands."""
    stride, padding = window

    def forward(x, w):
        pads = ((padding, padding),) * 2
        layout = ("NHWC", "HWIO", "NHWC")
        return convolve(x, w, (stride, stride), pads, dimension_numbers=layout)

    g = jax.random.normal(jax.random.key(2), jax.eval_shape(forward, x, w).shape)
    return {
        "forward": (forward, (x, w)),
        "input gradient": (lambda g, w: jax.vjp(lambda x: forward(x, w), x)[1](g)[0], (g, w)),
        "kernel gradient": (lambda x, g: jax.vjp(lambda w: forward(x, w), w)[1](g)[0], (x, g)),
    }[name]
