"""What all plots share: colours, the dress of axes, errors, and how a plot becomes a file."""

from __future__ import annotations

import io
import os
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from tinygrad_edu import MissingExtraError, ShapeError, TinygradError, UnknownNameError
from tinygrad_edu.files import write
from tinygrad_edu.graph import plain
from viz.scale import DARK, LIGHT, ThemeName, theme_named

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

Array = np.ndarray[Any, Any]

MARKERS = "osD^vPX"

FORMATS = (".png", ".svg", ".pdf")

# The style of a line changes when the colours have all been used.
_STYLES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))

# How many characters fit in a line of a legend.
_LINE = 28

# Positive values that span more than this are shown on a logarithmic axis.
_WIDE = 100


@dataclass(frozen=True, slots=True)
class Look:
    """The colours of plots in a theme, as ``#rrggbb``.

    Attributes:
        paper: the background.
        ink: titles and names.
        muted: labels of axes.
        grid: lines to read numbers by.
        nothing: a place where nothing was measured.
        colours: of lines and classes. Colour-blind people can tell them apart, the first two also
            differ in lightness, and every class of points has a marker of its own.
        much: from little to much.
        sides: from negative over 0, which is paper, to positive.
        pale: the same, for what is drawn over.
    """

    paper: str
    ink: str
    muted: str
    grid: str
    nothing: str
    colours: tuple[str, ...]
    much: tuple[str, ...]
    sides: tuple[str, ...]
    pale: tuple[str, ...]


LOOKS = {
    "light": Look(
        paper=LIGHT.paper,
        ink=LIGHT.ink,
        muted=LIGHT.muted,
        grid="#e3e7eb",
        nothing="#d9cdbf",
        # Okabe and Ito's.
        colours=("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5c5c5c"),
        much=("#f3f8fd", "#86bdea", "#0072b2", "#00304d"),
        sides=("#0b4a7d", "#5ea6dc", LIGHT.paper, "#ee8f55", "#8f3d00"),
        pale=("#86bdea", LIGHT.paper, "#f5a877"),
    ),
    "dark": Look(
        paper=DARK.paper,
        ink=DARK.ink,
        muted=DARK.muted,
        grid="#272e37",
        nothing="#4a4036",
        # The same hues, lighter.
        colours=("#4ba3e3", "#ff8a3d", "#2fc596", "#e29bc4", "#f2c14a", "#a5dcff", "#a8b0b8"),
        much=("#131c26", "#1d527f", "#4ba3e3", "#d8efff"),
        sides=("#a8d6ff", "#2f7fbf", DARK.paper, "#c8651f", "#ffc59a"),
        pale=("#255f92", DARK.paper, "#93501c"),
    ),
}
_look: ContextVar[Look] = ContextVar("viz.plots.look", default=LOOKS["light"])


@contextmanager
def theme(name: ThemeName) -> Iterator[None]:
    """Plots made inside have the colours of this theme.

    Args:
        name: ``"light"``, as they are anyway, or ``"dark"``.

    Raises:
        UnknownNameError: there is no theme of that name.

    >>> from viz import plots
    >>> with plots.theme("dark"):
    ...     plot = plots.activations(["relu"])
    >>> plot.figure.get_facecolor() == (13 / 255, 17 / 255, 23 / 255, 1.0)
    True
    """
    token = _look.set(LOOKS[theme_named(name).name])
    try:
        yield
    finally:
        _look.reset(token)


def look() -> Look:
    """The colours in force."""
    return _look.get()


class PlotError(TinygradError, ValueError):
    """Numbers that cannot be plotted as asked."""


class HistoryError(PlotError):
    """A training history that has nothing to plot."""


def save(plot: Axes | Figure, path: str | os.PathLike[str]) -> Path:
    """Write the whole figure of a plot to a ``.png``, ``.svg`` or ``.pdf`` file, or nothing.

    Raises:
        MissingFolderError: the file's folder does not exist.
        UnknownNameError: the name ends in something else.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise UnknownNameError("suffix for a figure", suffix, FORMATS)
    return write(path, _file(plot, suffix[1:]))


def svg(plot: Axes | Figure) -> str:
    """The whole figure of a plot as an SVG document, for a report."""
    return _file(plot, "svg").decode()


def axes_for(ax: Axes | None, width: float, height: float) -> Axes:
    """The Axes to draw into: those given, or else ones in a new figure, of this size in inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
        PlotError: what was given are no Axes.
    """
    try:
        from matplotlib.axes import Axes

        from viz.plots.shown import new_axes, root
    except ImportError as error:
        raise MissingExtraError("plotting", "matplotlib", "train") from error
    if ax is None:
        return new_axes(width, height, look().paper)
    if not isinstance(ax, Axes):
        raise PlotError(f"a plot is drawn into the Axes of matplotlib, not {type(ax).__name__}")
    if look() is not LOOKS["light"]:
        root(ax).set_facecolor(look().paper)
    return ax


def panels(
    ax: Axes | None,
    count: int,
    columns: int,
    size: tuple[float, float],
    *,
    left: float = 0.0,
    right: float = 0.0,
    bottom: float = 0.0,
    top: float = 0.0,
    beside: float = 0.0,
    above: float = 0.0,
) -> tuple[Axes, list[Axes]]:
    """The Axes to draw into, blank, and a grid of smaller Axes inside them.

    Args:
        ax: as ``axes_for`` takes it.
        count: how many panels.
        columns: how many in a row.
        size: width and height of a panel in inches, in a figure of its own.
        left: in inches, what the labels of a panel take at this side.
        right: at that.
        bottom: below.
        top: above.
        beside: in inches, what a colour bar beside all of them takes.
        above: what a title or a legend above them takes.
    """
    rows = -(-count // columns)
    width, height = size[0] + left + right, size[1] + bottom + top
    outer = axes_for(ax, columns * width + beside, rows * height + above)
    from viz.plots.shown import Cell, Margins

    outer.set_axis_off()
    found = []
    for i in range(count):
        panel = outer.inset_axes((0, 0, 1, 1))
        panel.set_axes_locator(Cell(outer, rows, columns, i, Margins(left, right, bottom, top)))
        found.append(panel)
    return outer, found


def _file(plot: Axes | Figure, suffix: str) -> bytes:
    """What a file with this suffix holds."""
    from matplotlib.axes import Axes

    from viz.plots.shown import DPI, root

    figure = root(plot) if isinstance(plot, Axes) else plot
    content = io.BytesIO()
    figure.savefig(content, format=suffix, dpi=DPI)
    return content.getvalue()


def dress(axes: Axes, title: str) -> None:
    """The style that all the plots share."""
    axes.set_facecolor(look().paper)
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=look().ink)
    axes.grid(color=look().grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=look().muted, labelsize=9, length=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(side == "bottom")
        axes.spines[side].set_color(look().grid)


def line_style(i: int) -> dict[str, Any]:
    """A colour and line style for the i-th of several lines; 28 of them differ."""
    return {
        "color": look().colours[i % len(look().colours)],
        "linestyle": _STYLES[i // len(look().colours) % len(_STYLES)],
    }


def log_if_wide(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic y axis, if all the values are positive and span several decades."""
    if values and min(values) > 0 and max(values) > _WIDE * min(values):
        axes.set_yscale("log")


def legend_beside(axes: Axes, handles: Sequence[Any], names: Sequence[str]) -> None:
    """A legend to the right of the axes, where it covers nothing."""
    axes.legend(
        handles,
        [textwrap.fill(literal(name), _LINE) for name in names],
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
        borderaxespad=0,
        frameon=False,
        labelcolor=look().ink,
        fontsize=9,
        handlelength=2.6,
    )


def legend_above(axes: Axes, *handles_and_names: Sequence[Any], ncols: int = 1) -> None:
    """A small legend at the right, above the axes, beside their title."""
    axes.legend(
        *handles_and_names,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=ncols,
        frameon=False,
        labelcolor=look().ink,
        fontsize=9,
        borderaxespad=0.2,
    )


def legend_of_panels(outer: Axes, handles: Sequence[Any], names: Sequence[str], ncols: int) -> None:
    """One legend for all the panels, at the left above them, where it covers nothing."""
    outer.legend(
        handles,
        names,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=ncols,
        frameon=False,
        labelcolor=look().ink,
    )


def legend_height(names: Sequence[str]) -> float:
    """How high a figure must be, in inches, for a legend of these names beside its axes."""
    return 0.9 + 0.2 * sum(1 + textwrap.fill(name, _LINE).count("\n") for name in names)


def tints() -> Any:
    """The colours of shares and sizes, which stand out the more, the larger they are."""
    return _colour_map(look().much)


def sides(pale: bool = False) -> Any:
    """The colours of negative and positive numbers, on either side of that of 0."""
    return _colour_map(look().pale if pale else look().sides)


def _colour_map(colours: Sequence[str]) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("viz", list(colours))


def colour_bar(image: Any, axes: Axes, label: str) -> Any:
    """A bar that says what the colours of an image in Axes, or in their panels, stand for."""
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.9, aspect=30)
    bar.set_label(label, color=look().muted)
    bar.ax.tick_params(which="both", colors=look().muted, labelsize=9, length=0)
    bar.outline.set_visible(False)
    return bar


def in_percent(axis: Axis) -> None:
    """Label shares in [0, 1] along an axis as percentages."""
    axis.set_major_formatter(lambda share, _: f"{100 * share:.4g} %")


def check_count(name: str, value: Any) -> None:
    """Raise a ``PlotError`` unless a value is a positive integer."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise PlotError(f"{name} must be a positive integer, not {value!r}")


def numbers(what: str, given: ArrayLike) -> Array:
    """Numbers as an array.

    Raises:
        PlotError: they are no numbers.
        ShapeError: they fill no array.
    """
    try:
        array = np.asarray(plain(given))
    except ValueError as error:
        raise ShapeError(f"{what} takes an array of numbers: {error}") from error
    if array.dtype.kind not in "biuf":
        raise PlotError(f"{what} takes numbers, not {array.dtype}")
    return array


def literal(name: object) -> str:
    """A name in which dollar signs are dollar signs, not the limits of a formula."""
    return str(name).replace("$", r"\$")
