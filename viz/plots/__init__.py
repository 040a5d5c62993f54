"""Plots of training: curves, what a classifier takes for what, images, and numbers step by step.

Each takes matplotlib's Axes to draw into as ``ax``, or makes a figure of its own, and returns the
Axes; ``save`` and ``svg`` make a file of the figure they are in. What needs several panels has them
inside those Axes, as their ``child_axes``. Several plots in one figure want one with
``layout="constrained"``, which makes room for their legends.

No global state of matplotlib is touched: pyplot does not know the figures, and no display is
needed. Axes made here show their figure themselves as the last value of a notebook's cell.
matplotlib comes with the extra ``train``.
"""

from viz.plots.boundary import decision_boundary
from viz.plots.counts import confusion_matrix, histograms
from viz.plots.pictures import images, show_batch
from viz.plots.style import (
    COLOURS,
    FORMATS,
    GRID,
    INK,
    MARKERS,
    MUTED,
    HistoryError,
    PlotError,
    save,
    svg,
)
from viz.plots.training import curves, lines, overlaid_curves

__all__ = [
    "COLOURS",
    "FORMATS",
    "GRID",
    "INK",
    "MARKERS",
    "MUTED",
    "HistoryError",
    "PlotError",
    "confusion_matrix",
    "curves",
    "decision_boundary",
    "histograms",
    "images",
    "lines",
    "overlaid_curves",
    "save",
    "show_batch",
    "svg",
]
