"""The canvas of all figures: size, style, colours, files.

No other package imports matplotlib.

Figures use the object-oriented interface and are never shown. They need no display and change no
global state.
"""

import functools
import io
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

import matplotlib.style
from matplotlib import font_manager, ft2font
from matplotlib.axes import Axes as Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure as Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D as Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
    PercentFormatter,
)

DPI = 160
INK, MUTED, FAINT = "#1b1f24", "#646c77", "#e4e7eb"
GOOD, BAD, NEUTRAL = "#00735a", "#b84300", "#545b65"

TONES = {"good": GOOD, "bad": BAD, "none": NEUTRAL}
"""Colour of a verdict, readable as text on white."""

# Okabe and Ito 2008, with violet instead of yellow, which has too little contrast on white.
_COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#5D3A9B", "#222222",
)  # fmt: skip
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")
_DASHES = ("-", "--", "-.", ":")

_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "legend.frameon": False,
    "axes.unicode_minus": True,
    # Names come from the user: a dollar sign in a name does not start a formula.
    "text.parse_math": False,
    # Glyphs as paths look the same everywhere and need no installed font.
    "svg.fonttype": "path",
    "svg.hashsalt": "odenet",
}

_P = ParamSpec("_P")
_R = TypeVar("_R")


def styled(draw: Callable[_P, _R]) -> Callable[_P, _R]:
    """Run a drawing function in the style of the project, not in the user's own settings."""

    @functools.wraps(draw)
    def inside(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with matplotlib.style.context(_STYLE, after_reset=True):
            return draw(*args, **kwargs)

    return inside


def new_figure(width: float, height: float, *, arrange: bool = True) -> Figure:
    """An empty figure.

    Args:
        width: In inches.
        height: In inches.
        arrange: Whether a layout engine arranges the axes so that nothing is cut off.
    """
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1) if arrange else None
    figure = Figure((width, height), dpi=DPI, layout=layout)
    FigureCanvasAgg(figure)
    return figure


@styled
def png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DPI, facecolor="white")
    return file.getvalue()


@styled
def svg(figure: Figure) -> bytes:
    """The figure as an SVG file; the same figure gives the same bytes."""
    file = io.BytesIO()
    figure.savefig(file, format="svg", facecolor="white", metadata={"Date": None})
    return file.getvalue()


def colour_of(index: int) -> str:
    """Colour of the network at this position in the comparison, the same in all figures."""
    return _COLOURS[index % len(_COLOURS)]


def marker_of(index: int) -> str:
    """Marker of a network, so that colour is never the only difference."""
    return _MARKERS[index % len(_MARKERS)]


def dashes_of(index: int) -> str:
    """Line style of a network, so that colour is never the only difference."""
    return _DASHES[index % len(_DASHES)]


def pale() -> Colormap:
    """Colours of cells, from light ochre to blue, all light enough for dark text."""
    return LinearSegmentedColormap.from_list("pale", ["#f3d9a4", "#f4f1e6", "#9cc9e6"])


def depth_colours() -> Colormap:
    """Colours of positions in depth, from early to late, all dark enough on white."""
    return LinearSegmentedColormap.from_list("depth", ["#0072B2", "#7A4FA3", "#D55E00"])


def shaded_below_one(
    axes: Axes, real: list[float], imaginary: list[float], rows: list[list[float]]
) -> None:
    """Shade the region where a function of a complex number is at most 1, and draw its boundary.

    Args:
        axes: Axes of the complex plane.
        real: Real parts of the columns.
        imaginary: Imaginary parts of the rows, from 0 upwards; the lower half-plane is mirrored.
        rows: Values of the function.
    """
    for sign in (1, -1):
        heights = [sign * value for value in imaginary]
        axes.contourf(real, heights, rows, levels=[-1, 1], colors=[GOOD], alpha=0.1)
        axes.contour(real, heights, rows, levels=[1], colors=[GOOD], linewidths=1)


def directions(axes: Axes, starts: list[tuple[float, float]], slopes: list[float]) -> None:
    """Draw short arrows of equal length from `starts`, each with its slope dy/dx."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    rises = [slope * (right - left) / (high - low) for slope in slopes]
    lengths = [(1 + rise**2) ** 0.5 for rise in rises]
    x, y = zip(*starts, strict=True)
    u = [1 / length for length in lengths]
    v = [rise / length for rise, length in zip(rises, lengths, strict=True)]
    axes.quiver(x, y, u, v, color=MUTED, alpha=0.55, width=0.003, scale=28, headwidth=4)


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Width of a line of text in inches."""
    font = _font(bold)
    font.set_size(size, 72)
    font.set_text(text, 0.0)
    return font.get_width_height()[0] / 64 / 72


def legible(text: str, longest: int = 44) -> str:
    """A name that the font can draw: missing glyphs are replaced, a very long name is shortened."""
    font = _font(False)
    drawn = "".join(sign if font.get_char_index(ord(sign)) else "?" for sign in text)
    if len(drawn) <= longest:
        return drawn
    head = longest * 2 // 3
    return f"{drawn[:head]}…{drawn[head + 1 - longest :]}"


def ticks(axes: Axes, which: str, positions: Iterable[float], names: Iterable[str]) -> None:
    """Put named ticks on the axis `x` or `y`, and no others."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(FixedLocator(list(positions)))
    axis.set_minor_locator(NullLocator())
    axis.set_ticklabels(list(names))


def percentages(axes: Axes) -> None:
    """Write the fractions of the vertical axis as percentages."""
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol="%"))


def plain_numbers(axes: Axes, which: str) -> None:
    """Write the numbers of a logarithmic axis without powers, which need typesetting."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = sorted(axes.get_xlim() if which == "x" else axes.get_ylim())
    # Ticks at powers of ten alone would leave one number on a short axis, or none.
    parts = (1.0, 2.0, 5.0) if high < 300 * low else (1.0,)
    axis.set_major_locator(LogLocator(subs=parts))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())


def logarithmic(axes: Axes) -> None:
    """Make the vertical axis logarithmic if a line on it has a positive value."""
    curves = [value for line in axes.get_lines() for value in line.get_xydata()]  # pyright: ignore
    values = [float(y) for _, y in curves if y > 0]
    if not values:
        return
    axes.set_yscale("log")
    low, high = sorted(axes.get_ylim())
    if low > 1e-5 and high < 1e6:
        plain_numbers(axes, "y")
        return
    axes.yaxis.set_major_locator(LogLocator(numticks=8))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0e}"))
    axes.yaxis.set_minor_locator(NullLocator())


def powers_of_ten(axes: Axes) -> None:
    """Write the numbers of a logarithmic horizontal axis as 1e-5, few enough to be read."""
    axes.xaxis.set_major_locator(LogLocator(numticks=7))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0e}"))
    axes.xaxis.set_minor_locator(NullLocator())


def whole_numbers(axes: Axes, most: int = 16) -> None:
    """Put at most `most` ticks on the horizontal axis, all at whole numbers."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=most))


def cell(column: int, line: int, colour: Any, *, hatched: bool) -> Rectangle:
    """One cell of a matrix, with a white border to its neighbours."""
    return Rectangle(
        (column, line), 1, 1, facecolor=colour, edgecolor=FAINT if hatched else "white", lw=2,
        hatch="////" if hatched else None,
    )  # fmt: skip


@functools.cache
def _font(bold: bool) -> ft2font.FT2Font:
    weight = "bold" if bold else "normal"
    properties = font_manager.FontProperties(family="DejaVu Sans", weight=weight)
    return ft2font.FT2Font(font_manager.findfont(properties))
