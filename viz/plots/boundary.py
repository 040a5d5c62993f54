"""What a classifier of points in the plane has learned."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from tinygrad_edu import ShapeError
from viz.plots.style import (
    MARKERS,
    axes_for,
    dress,
    look,
    sides,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def decision_boundary(
    predict: Callable[[np.ndarray[Any, Any]], ArrayLike],
    x: ArrayLike,
    y: ArrayLike,
    *,
    threshold: float = 0.0,
    resolution: int = 100,
    ax: Axes | None = None,
) -> Axes:
    """Points in the plane by class, over a model's score or choice at every place.

    Args:
        predict: from points ``(n, 2)`` to scores ``(n,)``, or to a score per class
            ``(n, classes)``, of which the largest wins.
        x: the points, ``(n, 2)``.
        y: the class of each, ``(n,)``; any labels, such as -1 and 1.
        threshold: the score at the boundary of two classes; 0.5 if scores are probabilities.
        resolution: places to predict along each side of the plot.
        ax: where to draw; by default in a new figure.

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
    axes = axes_for(ax, 5.6, 4.6)
    dress(axes, "")
    axes.grid(visible=False)
    if scores.ndim == 1:
        _score_map(axes, across, up, scores.reshape(across.shape), threshold)
    else:
        _class_map(axes, across, up, scores.reshape(*across.shape, -1))
    for i, label in enumerate(np.unique(labels)):
        own = points[labels == label]
        axes.scatter(
            own[:, 0],
            own[:, 1],
            s=26,
            color=look().colours[i % len(look().colours)],
            marker=MARKERS[i % len(MARKERS)],
            edgecolors=look().paper,
            linewidths=0.7,
            label=str(label),
            zorder=3,
        )
    axes.set_xlabel("x₁", color=look().muted)
    axes.set_ylabel("x₂", color=look().muted)
    legend = axes.legend(
        title="class",
        labelcolor=look().ink,
        facecolor=look().paper,
        framealpha=0.9,
        edgecolor=look().grid,
    )
    legend.get_title().set_color(look().ink)
    return axes


def _score_map(
    axes: Axes, across: Any, up: Any, scores: np.ndarray[Any, Any], threshold: float
) -> None:
    """Two tints that meet, as paper, at the threshold, and a line along it."""
    shown = np.ma.masked_invalid(scores)
    if not shown.count():
        return
    reach = float(abs(shown - threshold).max()) or 1.0
    levels = np.linspace(threshold - reach, threshold + reach, 21)
    filled = axes.contourf(across, up, shown, levels, cmap=sides(pale=True))
    if shown.min() < threshold < shown.max():
        axes.contour(across, up, shown, [threshold], colors=look().ink, linewidths=1.4)
    bar = axes.figure.colorbar(filled, ax=axes, ticks=levels[::5], format="%.3g")
    bar.set_label("score", color=look().muted)
    bar.ax.tick_params(colors=look().muted, labelsize=9)
    bar.outline.set_visible(False)


def _class_map(axes: Axes, across: Any, up: Any, scores: np.ndarray[Any, Any]) -> None:
    """A tint for the class that wins at each place, and lines between the classes."""
    for i in range(scores.shape[-1]):
        # By how much class i is ahead of the best other one: 0 along its boundary.
        lead = np.ma.masked_invalid(scores[..., i] - np.delete(scores, i, axis=-1).max(axis=-1))
        if lead.count() and lead.max() > 0:
            colour = look().colours[i % len(look().colours)]
            axes.contourf(across, up, lead, [0, lead.max()], colors=[colour], alpha=0.22)
            if lead.min() < 0:
                axes.contour(across, up, lead, [0], colors=look().ink, linewidths=0.8)
