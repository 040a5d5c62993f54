"""How often: what a classifier took for what, and how numbers are distributed."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from tinygrad_edu import ShapeError
from tinygrad_edu.graph import plain
from viz.plots.style import (
    COLOURS,
    INK,
    MUTED,
    PlotError,
    dress,
    finished,
    legend_beside,
    line_style,
    literal,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = np.ndarray[Any, Any]

# In inches: how large a cell of a confusion matrix is, and all of them together at most.
_CELL, _SIDE = 0.5, 7.5
# In points: the largest size of text in a cell or by its side, and the smallest worth reading.
_LARGEST, _SMALLEST = 10.0, 5.0

# How many bins to sort raw numbers into.
_BINS = 60


def confusion_matrix(
    matrix: ArrayLike,
    classes: Sequence[str] = (),
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """How often a class was taken for another: a row for each true class.

    Each cell has the colour of its share of its row, so that the diagonal shows the recall of every
    class. The count stands in it, where there is space for it; a count of 0 is left out.

    Args:
        matrix: counts ``(C, C)``; rows are the true classes, columns the predicted ones.
        classes: the name of each; by default their numbers.
        path: also write the figure there; see ``save``.

    Raises:
        MissingExtraError: matplotlib is not installed.
        PlotError: a count is negative, nan or infinite.
        ShapeError: the matrix is not square, or there are not as many classes.
    """
    counts = np.asarray(plain(matrix))
    n = len(counts) if counts.ndim else 0
    if counts.shape != (n, n) or not n:
        raise ShapeError(f"a confusion matrix is (C, C), C > 0, not {counts.shape}")
    if len(classes) not in (0, n):
        raise ShapeError(
            f"a confusion matrix of {n} classes needs as many names, not {len(classes)}"
        )
    if counts.dtype.kind not in "biuf" or not (np.isfinite(counts) & (counts >= 0)).all():
        raise PlotError("a confusion matrix holds counts, which are finite and not negative")
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros((n, n)), where=totals > 0)
    side = min(_CELL * n, _SIDE)
    cell = 72 * side / n
    figure = new_figure(max(side, 2.0) + 1.9, max(side, 2.0) + 0.8)
    axes = figure.subplots()
    dress(axes, "")
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    from matplotlib.colors import LinearSegmentedColormap

    tints = LinearSegmentedColormap.from_list(
        "share", ["#ffffff", "#86bdea", COLOURS[0], "#00304d"]
    )
    image = axes.imshow(shares, cmap=tints, vmin=0, vmax=1, interpolation="none")
    _name_classes(axes, [literal(name) for name in classes], n, cell)
    _write_counts(axes, counts, shares, cell)
    bar = figure.colorbar(
        image, ax=axes, shrink=0.8, format=lambda share, _: f"{100 * share:.0f} %"
    )
    bar.set_label("share of the true class", color=MUTED)
    bar.ax.tick_params(colors=MUTED, labelsize=9, length=0)
    bar.outline.set_visible(False)
    return finished(figure, path)


def histograms(
    groups: Mapping[str, ArrayLike | tuple[ArrayLike, ArrayLike]],
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """How several groups of numbers are distributed, over each other.

    Where all the bins are equally wide, the height is the share of the group's numbers in the bin;
    otherwise it is their density, the share divided by the width.

    Args:
        groups: by name, the numbers themselves, of any shape, which are sorted into bins that
            all such groups share; or a tuple of counts ``(n,)`` and the ends of their bins
            ``(n + 1,)``, as ``numpy.histogram`` returns it. Of numbers that are nan or infinite the
            legend says how many there are.
        path: also write the figure there; see ``save``.

    Raises:
        MissingExtraError: matplotlib is not installed.
        PlotError: there are no groups or no numbers in one, a count is negative, or the ends of
            the bins do not rise.
        ShapeError: counts and the ends of their bins do not fit together.
    """
    if not groups:
        raise PlotError("histograms takes one group of numbers or more, not none")
    raw = {name: _numbers(name, x) for name, x in groups.items() if not isinstance(x, tuple)}
    finite = {name: x[np.isfinite(x)] for name, x in raw.items()}
    shared = np.histogram_bin_edges(np.concatenate([*finite.values(), []]), _BINS)
    drawn: dict[str, tuple[Array, Array]] = {}
    for name, group in groups.items():
        if isinstance(group, tuple):
            drawn[name] = _checked(name, group)
        else:
            drawn[name] = np.histogram(finite[name], shared)
            lost = raw[name].size - finite[name].size
            if lost:
                drawn[f"{name} ({lost} not finite)"] = drawn.pop(name)
    widths = np.concatenate([np.diff(edges) for _, edges in drawn.values()])
    alike = np.allclose(widths, widths[0], rtol=1e-3, atol=0)
    figure = new_figure(8.2, 3.6)
    axes = figure.subplots()
    dress(axes, "share of the numbers" if alike else "density")
    axes.set_xlabel("value", color=MUTED)
    handles: list[Any] = []
    for i, (counts, edges) in enumerate(drawn.values()):
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
        axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.4g} %")
    legend_beside(figure, handles, [textwrap.fill(literal(name), 28) for name in drawn])
    return finished(figure, path)


def _name_classes(axes: Axes, names: Sequence[str], n: int, cell: float) -> None:
    """The names along both sides; of numbers too close to be read, only some."""
    size = min(_LARGEST, 0.9 * cell)
    step = 1 if names or size >= _SMALLEST else 10
    places = range(0, n, step)
    labels = names or [str(i) for i in places]
    longest = max(map(len, labels)) * 0.6 * max(size, _SMALLEST)
    size = max(size, _SMALLEST) if step == 1 else _LARGEST
    axes.set_xticks(places, labels, fontsize=size, rotation=90 if longest > cell * step else 0)
    axes.set_yticks(places, labels, fontsize=size)
    axes.set_xlabel("predicted class", color=MUTED)
    axes.set_ylabel("true class", color=MUTED)


def _write_counts(axes: Axes, counts: Array, shares: Array, cell: float) -> None:
    texts = [[f"{count:.4g}" if count % 1 else f"{count:.0f}" for count in row] for row in counts]
    # A digit is about 0.6 of its size wide.
    size = min(_LARGEST, 0.9 * cell / (0.6 * max(len(text) for row in texts for text in row)))
    if size < _SMALLEST:
        return
    for (row, column), share in np.ndenumerate(shares):
        if counts[row, column]:
            colour = "white" if share > 0.5 else INK
            axes.text(
                column,
                row,
                texts[row][column],
                ha="center",
                va="center",
                color=colour,
                fontsize=size,
            )


def _numbers(name: str, group: ArrayLike) -> Array:
    numbers = np.asarray(plain(group))
    if numbers.dtype.kind not in "biuf" or not numbers.size:
        raise PlotError(f"group {name!r} takes numbers, not {numbers.size} of {numbers.dtype}")
    return numbers.ravel().astype(float)


def _checked(name: str, group: tuple[Any, ...]) -> tuple[Array, Array]:
    """Counts and the ends of their bins, which are as they must be."""
    arrays = [np.asarray(plain(part)) for part in group]
    shapes = [array.shape for array in arrays]
    if (
        len(arrays) != 2
        or arrays[0].ndim != 1
        or shapes[1] != (len(arrays[0]) + 1,)
        or not shapes[0]
    ):
        raise ShapeError(
            f"group {name!r}, a tuple, takes counts (n,) and the ends of their bins (n + 1,), not"
            f" {', '.join(map(str, shapes))}"
        )
    counts, edges = arrays
    if not (counts >= 0).all() or not (np.diff(edges) > 0).all():
        raise PlotError(f"the counts of group {name!r} are negative, or its bins do not rise")
    return counts, edges
