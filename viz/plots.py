"""Plots of training: learning curves, and what a classifier of points in the plane has learned.

Each returns a matplotlib Figure of its own; no global state of matplotlib is touched. A notebook
shows it after ``%matplotlib inline``. matplotlib comes with the extra ``train``.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from tinygrad_edu import MissingExtraError, ShapeError, TinygradError, UnknownNameError
from tinygrad_edu.files import write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind people can tell apart. The first two also differ in
# lightness, and every class of points has a marker of its own.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5c5c5c")
MARKERS = "osD^vPX"
INK, MUTED, GRID = "#1f2328", "#57606a", "#e3e7eb"

FORMATS = (".png", ".svg", ".pdf")


class HistoryError(TinygradError, ValueError):
    """A training history that has nothing to plot."""


def curves(
    history: Sequence[Mapping[str, Any]], path: str | os.PathLike[str] | None = None
) -> Figure:
    """Loss and accuracy over the epochs, for training and validation.

    Args:
        history: a row per epoch with ``epoch`` (by default counted from 1) and any of
            ``train_loss``, ``validation_loss``, ``train_accuracy``, ``validation_accuracy``
            (between 0 and 1). The epoch of the lowest validation loss is marked.
        path: also write the figure there; see ``save``.

    Returns:
        A figure with a panel for the loss and one for the accuracy, where they were measured.

    Raises:
        HistoryError: no row has a loss or an accuracy.
        MissingExtraError: matplotlib is not installed.
    """
    rows = list(history)
    measured = [key for key in _LINES if any(_measure(row, key) is not None for row in rows)]
    if not measured:
        raise HistoryError(f"a history needs rows with any of {', '.join(_LINES)}")
    quantities = [q for q in ("loss", "accuracy") if any(key.endswith(q) for key in measured)]
    figure = _figure(4.6 * len(quantities), 3.6)
    from matplotlib.ticker import MaxNLocator

    epochs = [row.get("epoch", i) for i, row in enumerate(rows, 1)]
    losses = [_measure(row, "validation_loss") for row in rows]
    measured_at = [pair for pair in zip(losses, epochs, strict=True) if pair[0] is not None]
    best = min(measured_at, default=None)
    for i, quantity in enumerate(quantities):
        axes = figure.add_subplot(1, len(quantities), i + 1)
        _dress(axes, quantity)
        axes.set_xlabel("epoch", color=MUTED)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        for key in measured:
            if key.endswith(quantity):
                _line(axes, key, epochs, [_measure(row, key) for row in rows])
        if best is not None:
            name = f"best epoch: {best[1]}"
            axes.axvline(best[1], color=MUTED, linewidth=1, linestyle=":", zorder=0, label=name)
        if quantity == "accuracy":
            axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.4g} %")
        axes.legend(frameon=False, labelcolor=INK)
    if path is not None:
        save(figure, path)
    return figure


def decision_boundary(
    predict: Callable[[np.ndarray[Any, Any]], ArrayLike],
    x: ArrayLike,
    y: ArrayLike,
    *,
    threshold: float = 0.0,
    resolution: int = 100,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Points in the plane by class, over a model's score or choice at every place.

    Args:
        predict: from points ``(n, 2)`` to scores ``(n,)``, or to a score per class
            ``(n, classes)``, of which the largest wins.
        x: the points, ``(n, 2)``.
        y: the class of each, ``(n,)``; any labels, such as -1 and 1.
        threshold: the score at the boundary of two classes; 0.5 if scores are probabilities.
        resolution: places to predict along each side of the plot.
        path: also write the figure there; see ``save``.

    Raises:
        MissingExtraError: matplotlib is not installed.
        ShapeError: ``x``, ``y`` or what ``predict`` returned has another shape.
    """
    points, labels = np.asarray(x, dtype=float), np.asarray(y)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ShapeError(f"a decision boundary takes points (n, 2), n > 0, not {points.shape}")
    if labels.shape != (len(points),):
        raise ShapeError(f"{len(points)} points need as many labels, not shape {labels.shape}")
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.12 * np.where(high > low, high - low, 1)
    horizontal, vertical = np.linspace(low - margin, high + margin, resolution).T
    across, up = np.meshgrid(horizontal, vertical)
    places = np.column_stack((across.ravel(), up.ravel()))
    scores = np.asarray(predict(places), dtype=float)
    if scores.ndim == 2 and scores.shape[1] == 1:
        scores = scores[:, 0]
    if scores.ndim not in (1, 2) or len(scores) != len(places):
        raise ShapeError(
            f"predict should return (n,) or (n, classes) for {len(places)} points;"
            f" it returned {scores.shape}"
        )
    figure = _figure(5.6, 4.6)
    axes = figure.subplots()
    _dress(axes, "")
    axes.grid(visible=False)
    if scores.ndim == 1:
        _score_map(figure, axes, across, up, scores.reshape(across.shape), threshold)
    else:
        _class_map(axes, across, up, scores.reshape(*across.shape, -1))
    for i, label in enumerate(np.unique(labels)):
        own = points[labels == label]
        axes.scatter(
            own[:, 0],
            own[:, 1],
            s=26,
            color=COLOURS[i % len(COLOURS)],
            marker=MARKERS[i % len(MARKERS)],
            edgecolors="white",
            linewidths=0.7,
            label=str(label),
            zorder=3,
        )
    axes.set_xlabel("x₁", color=MUTED)
    axes.set_ylabel("x₂", color=MUTED)
    axes.legend(title="class", labelcolor=INK, framealpha=0.9, edgecolor=GRID)
    if path is not None:
        save(figure, path)
    return figure


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


# What a history may hold: the name, colour and line style of each curve.
_LINES = {
    "train_loss": ("training", COLOURS[0], "-"),
    "validation_loss": ("validation", COLOURS[1], "--"),
    "train_accuracy": ("training", COLOURS[0], "-"),
    "validation_accuracy": ("validation", COLOURS[1], "--"),
}


def _measure(row: Mapping[str, Any], key: str) -> float | None:
    """A finite number from a row; ``None`` where it was not measured or has diverged."""
    value = row.get(key)
    return float(value) if value is not None and math.isfinite(value) else None


def _line(axes: Axes, key: str, epochs: list[Any], values: list[float | None]) -> None:
    name, colour, style = _LINES[key]
    gaps = [math.nan if value is None else value for value in values]
    marker = "o" if len(values) < 25 else ""
    axes.plot(epochs, gaps, style, marker=marker, markersize=3.5, color=colour, label=name)


def _score_map(
    figure: Figure, axes: Axes, across: Any, up: Any, scores: np.ndarray[Any, Any], threshold: float
) -> None:
    """Two tints that meet, white, at the threshold, and a line along it."""
    from matplotlib.colors import LinearSegmentedColormap

    shown = np.ma.masked_invalid(scores)
    if not shown.count():
        return
    reach = float(abs(shown - threshold).max()) or 1.0
    tints = LinearSegmentedColormap.from_list("score", ["#86bdea", "#ffffff", "#f5a877"])
    levels = np.linspace(threshold - reach, threshold + reach, 21)
    filled = axes.contourf(across, up, shown, levels, cmap=tints)
    if shown.min() < threshold < shown.max():
        axes.contour(across, up, shown, [threshold], colors=INK, linewidths=1.4)
    bar = figure.colorbar(filled, ax=axes, ticks=levels[::5], format="%.3g")
    bar.set_label("score", color=MUTED)
    bar.ax.tick_params(colors=MUTED, labelsize=9)
    bar.outline.set_visible(False)


def _class_map(axes: Axes, across: Any, up: Any, scores: np.ndarray[Any, Any]) -> None:
    """A tint for the class that wins at each place, and lines between the classes."""
    for i in range(scores.shape[-1]):
        # By how much class i is ahead of the best other one: 0 along its boundary.
        lead = np.ma.masked_invalid(scores[..., i] - np.delete(scores, i, axis=-1).max(axis=-1))
        if lead.count() and lead.max() > 0:
            colour = COLOURS[i % len(COLOURS)]
            axes.contourf(across, up, lead, [0, lead.max()], colors=[colour], alpha=0.22)
            if lead.min() < 0:
                axes.contour(across, up, lead, [0], colors=INK, linewidths=0.8)


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("plotting", "matplotlib", "train") from error
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def _dress(axes: Axes, title: str) -> None:
    """The style that all the plots share."""
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=INK)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=9, length=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(side == "bottom")
        axes.spines[side].set_color(GRID)
