"""How often: what a classifier took for what, and how numbers are distributed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from tinygrad_edu import ShapeError
from viz.plots.style import (
    Array,
    PlotError,
    axes_for,
    colour_bar,
    dress,
    in_percent,
    legend_beside,
    legend_height,
    line_style,
    literal,
    look,
    numbers,
    tints,
)
from viz.scale import LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# In inches: how large a cell of a confusion matrix is, and all of them together at most.
_CELL, _SIDE = 0.5, 7.5
# In points: the largest size of text in a cell or by its side, and the smallest worth reading.
_LARGEST, _SMALLEST = 10.0, 5.0
# How wide a digit is, as a share of the size of its text.
_DIGIT = 0.64
# The luminance at which white text and ours stand out as much as each other.
_MIDDLE = 0.215

# The shares named beside a confusion matrix, whose colours change fastest where they are small.
_TICKS = (0, 0.05, 0.2, 0.4, 0.7, 1)

# How many bins to sort raw numbers into.
_BINS = 60


def confusion_matrix(
    matrix: ArrayLike,
    classes: Sequence[str] = (),
    *,
    ax: Axes | None = None,
) -> Axes:
    """How often a class was taken for another: a row for each true class.

    Each cell has the colour of its share of its row, so that the diagonal shows the recall of every
    class. The count stands in it where there is space; a count of 0 is left out.

    Args:
        matrix: counts ``(C, C)``; rows are the true classes, columns the predicted ones.
        classes: the name of each; by default their numbers.
        ax: where to draw; by default in a new figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
        PlotError: a count is negative, nan or infinite.
        ShapeError: the matrix is not square, or there are not as many classes.
    """
    counts = numbers("a confusion matrix", matrix)
    n = len(counts) if counts.ndim else 0
    if counts.shape != (n, n) or not n:
        raise ShapeError(f"a confusion matrix is (C, C), C > 0, not {counts.shape}")
    if len(classes) not in (0, n):
        raise ShapeError(
            f"a confusion matrix of {n} classes needs as many names, not {len(classes)}"
        )
    if not (np.isfinite(counts) & (counts >= 0)).all():
        raise PlotError("a confusion matrix holds counts, which are finite and not negative")
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros((n, n)), where=totals > 0)
    side = max(2.0, min(_CELL * n, _SIDE))
    axes = axes_for(ax, side + 1.9, side + 0.8)
    if ax is not None:
        side = min(ax.get_window_extent().size) / ax.figure.dpi
    cell = 72 * min(side / n, _CELL)
    dress(axes, "")
    axes.grid(visible=False)
    axes.spines[:].set_visible(True)
    from matplotlib.colors import PowerNorm

    image = axes.imshow(shares, cmap=tints(), norm=PowerNorm(0.5, 0, 1), interpolation="none")
    _name_classes(axes, [literal(name) for name in classes], n, cell)
    _write_counts(axes, counts, image.to_rgba(shares), cell)
    bar = colour_bar(image, axes, "share of the true class")
    bar.set_ticks(_TICKS)
    in_percent(bar.ax.yaxis)
    return axes


def histograms(
    groups: Mapping[str, ArrayLike | tuple[ArrayLike, ArrayLike]],
    *,
    ax: Axes | None = None,
) -> Axes:
    """How several groups of numbers are distributed, over each other.

    Where all the bins are equally wide, the height is the share of the group's numbers in the bin;
    otherwise it is their density, the share divided by the width.

    Args:
        groups: by name, the numbers themselves, of any shape, which are sorted into bins that
            all such groups share; or a tuple of counts ``(n,)`` and the ends of their bins
            ``(n + 1,)``, as ``numpy.histogram`` returns it. Of numbers that are nan or infinite the
            legend says how many there are.
        ax: where to draw; by default in a new figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
        PlotError: there are no groups or no numbers in one, a count is negative, or the ends of
            the bins do not rise.
        ShapeError: counts and the ends of their bins do not fit together.
    """
    if not groups:
        raise PlotError("histograms takes one group of numbers or more, not none")
    raw = {name: _entries(name, x) for name, x in groups.items() if not isinstance(x, tuple)}
    shared = _edges([x[np.isfinite(x)] for x in raw.values()])
    drawn: list[tuple[Array, Array]] = []
    names: list[str] = []
    for name, group in groups.items():
        if isinstance(group, tuple):
            drawn.append(_binned(name, group))
            names.append(name)
        else:
            finite = raw[name][np.isfinite(raw[name])]
            lost = raw[name].size - finite.size
            drawn.append(np.histogram(finite, shared))
            names.append(f"{name} ({lost} not finite)" if lost else name)
    widths = np.concatenate([np.diff(edges) for _, edges in drawn])
    alike = np.allclose(widths, widths[0], rtol=1e-3, atol=0)
    axes = axes_for(ax, 8.2, max(3.6, legend_height(names)))
    dress(axes, "share of the numbers" if alike else "density")
    axes.set_xlabel("value", color=look().muted)
    handles: list[Any] = []
    for i, (counts, edges) in enumerate(drawn):
        heights = counts / (counts.sum() or 1)
        if not alike:
            heights = heights / np.diff(edges)
        outline = np.concatenate([[0], heights, [0]])
        handles += axes.step(
            [*edges, edges[-1]], outline, where="pre", linewidth=1.6, **line_style(i)
        )
        axes.fill_between(
            edges, [*heights, 0], step="post", alpha=0.12, color=line_style(i)["color"], linewidth=0
        )
    axes.set_ylim(bottom=0)
    if alike:
        in_percent(axes.yaxis)
    legend_beside(axes, handles, names)
    return axes


def _name_classes(axes: Axes, names: Sequence[str], n: int, cell: float) -> None:
    """Name the classes along both sides; where there are too many to read, some of them."""
    step = 1
    while step * cell < (_SMALLEST if names else _LARGEST):
        step *= 10
    places = range(0, n, step)
    labels = [names[i] if names else str(i) for i in places]
    size = min(_LARGEST, max(_SMALLEST, 0.85 * step * cell))
    upright = _DIGIT * size * max(map(len, labels)) > step * cell
    axes.set_xticks(places, labels, fontsize=size, rotation=90 if upright else 0)
    axes.set_yticks(places, labels, fontsize=size)
    axes.set_xlabel("predicted class", color=look().muted)
    axes.set_ylabel("true class", color=look().muted)


def _write_counts(axes: Axes, counts: Array, colours: Array, cell: float) -> None:
    """Write each count into its cell, white on dark colours ``(C, C, 4)``."""
    texts = {
        place: f"{count:.4g}" if count % 1 else f"{count:.0f}"
        for place, count in np.ndenumerate(counts)
        if count
    }
    longest = max(map(len, texts.values()), default=1)
    size = min(_LARGEST, 0.9 * cell / (_DIGIT * longest))
    if size < _SMALLEST:
        return
    for (row, column), text in texts.items():
        dark = _luminance(colours[row, column, :3]) < _MIDDLE
        axes.text(
            column,
            row,
            text,
            ha="center",
            va="center",
            color="white" if dark else LIGHT.ink,
            fontsize=size,
        )


def _luminance(rgb: Array) -> float:
    """How light a colour is, from 0 to 1. Source: WCAG 2.1, "relative luminance"."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def _entries(name: str, group: ArrayLike) -> Array:
    entries = numbers(f"group {name!r}", group)
    if not entries.size:
        raise PlotError(f"group {name!r} has no numbers")
    return entries.ravel().astype(float)


def _edges(groups: Sequence[Array]) -> Array:
    """The ends of bins that hold every number of every group."""
    together = np.concatenate([*groups, []])
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            edges = np.histogram_bin_edges(together, _BINS)
        except ValueError:  # the numbers are closer than any bins
            edges = np.zeros(_BINS)
        if not (np.diff(edges) > 0).all():
            raise PlotError(
                f"no {_BINS} bins hold the numbers from {together.min()} to {together.max()}"
            )
    return edges


def _binned(name: str, group: tuple[Any, ...]) -> tuple[Array, Array]:
    """Counts and the ends of their bins, which are as they must be."""
    arrays = [numbers(f"group {name!r}", part) for part in group]
    shapes = [array.shape for array in arrays]
    if len(arrays) != 2 or arrays[0].ndim != 1 or shapes[1] != (arrays[0].size + 1,):
        raise ShapeError(
            f"group {name!r}, a tuple, takes counts (n,) and the ends of their bins (n + 1,), not"
            f" {', '.join(map(str, shapes))}"
        )
    counts, edges = arrays
    if not (np.isfinite(counts) & (counts >= 0)).all():
        raise PlotError(f"a count of group {name!r} is negative, nan or infinite")
    if not counts.size or not np.isfinite(edges).all() or not (np.diff(edges) > 0).all():
        raise PlotError(f"the bins of group {name!r} are none, or their ends do not rise")
    return counts, edges
