"""What all plots share: colours, the dress of axes, errors, and how a figure becomes a file."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from tinygrad_edu import MissingExtraError, ShapeError, TinygradError, UnknownNameError
from tinygrad_edu.files import write
from tinygrad_edu.graph import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

Array = np.ndarray[Any, Any]

# Okabe and Ito's colours, which colour-blind people can tell apart. The first two also differ in
# lightness, and every class of points has a marker of its own.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5c5c5c")
MARKERS = "osD^vPX"
INK, MUTED, GRID = "#1f2328", "#57606a", "#e3e7eb"

FORMATS = (".png", ".svg", ".pdf")

# The style of a line changes when the colours have all been used.
_STYLES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))

# Positive values that span more than this are shown on a logarithmic axis.
_WIDE = 100


class PlotError(TinygradError, ValueError):
    """Numbers that cannot be plotted as asked."""


class HistoryError(PlotError):
    """A training history that has nothing to plot."""


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure to a ``.png``, ``.svg`` or ``.pdf`` file, whole or not at all.

    Raises:
        MissingFolderError: the file's folder does not exist.
        UnknownNameError: the name ends in something else.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise UnknownNameError("suffix for a figure", suffix, FORMATS)
    content = io.BytesIO()
    figure.savefig(content, format=suffix[1:], dpi=144)
    return write(path, content.getvalue())


def svg(figure: Figure) -> str:
    """A figure as an SVG document, for a report."""
    content = io.BytesIO()
    figure.savefig(content, format="svg")
    return content.getvalue().decode()


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, that belongs to nobody."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("plotting", "matplotlib", "train") from error
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def finished(figure: Figure, path: str | os.PathLike[str] | None) -> Figure:
    """The figure, also written to ``path`` if there is one."""
    if path is not None:
        save(figure, path)
    return figure


def dress(axes: Axes, title: str) -> None:
    """The style that all the plots share."""
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=INK)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=MUTED, labelsize=9, length=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(side == "bottom")
        axes.spines[side].set_color(GRID)


def line_style(i: int) -> dict[str, Any]:
    """A colour and line style for the i-th of several lines; 28 of them differ."""
    return {
        "color": COLOURS[i % len(COLOURS)],
        "linestyle": _STYLES[i // len(COLOURS) % len(_STYLES)],
    }


def log_if_wide(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic y axis, if all the values are positive and span several decades."""
    if values and min(values) > 0 and max(values) > _WIDE * min(values):
        axes.set_yscale("log")


def legend_beside(figure: Figure, handles: Sequence[Line2D], names: Sequence[str]) -> None:
    """A legend to the right of the axes, where it covers nothing."""
    figure.legend(
        handles,
        names,
        loc="outside right upper",
        frameon=False,
        labelcolor=INK,
        fontsize=9,
        handlelength=2.6,
    )


def in_percent(axis: Axis) -> None:
    """Label shares in [0, 1] along an axis as percentages."""
    axis.set_major_formatter(lambda share, _: f"{100 * share:.4g} %")


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
