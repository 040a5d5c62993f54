"""Plots of training: curves, what a classifier takes for what, images, and numbers step by step.

Each returns a matplotlib Figure of its own; no global state of matplotlib is touched. A notebook
shows it after ``%matplotlib inline``. matplotlib comes with the extra ``train``.
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
