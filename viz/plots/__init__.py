"""Plots of training, of what a model has learned, and of what happens inside it.

Each takes matplotlib's Axes to draw into as ``ax``, or makes a figure of its own, and returns the
Axes; ``save`` and ``svg`` make a file of the figure they are in. What needs several panels has them
inside those Axes, as their ``child_axes``. Several plots in one figure want one with
``layout="constrained"``, which makes room for their legends.

No global state of matplotlib is touched: pyplot does not know the figures, and no display is
needed. Axes made here show their figure themselves as the last value of a notebook's cell; plots
made ``with plots.theme("dark")`` have its colours. matplotlib comes with the extra ``train``.
"""

from viz.plots.attention import attention_maps
from viz.plots.boundary import decision_boundary
from viz.plots.counts import confusion_matrix, histograms
from viz.plots.functions import activations
from viz.plots.gradients import gradient_flow, gradient_flow_over_time, update_ratio
from viz.plots.kernels import feature_maps, filters
from viz.plots.landscape import loss_landscape
from viz.plots.pictures import images, misclassified, show_batch
from viz.plots.recorded import dead_units, dead_units_over_time, histograms_over_time
from viz.plots.style import (
    FORMATS,
    HistoryError,
    PlotError,
    save,
    svg,
    theme,
)
from viz.plots.training import curves, learning_rate_finder, lines, overlaid_curves

__all__ = [
    "FORMATS",
    "HistoryError",
    "PlotError",
    "activations",
    "attention_maps",
    "confusion_matrix",
    "curves",
    "dead_units",
    "dead_units_over_time",
    "decision_boundary",
    "feature_maps",
    "filters",
    "gradient_flow",
    "gradient_flow_over_time",
    "histograms",
    "histograms_over_time",
    "images",
    "learning_rate_finder",
    "lines",
    "loss_landscape",
    "misclassified",
    "overlaid_curves",
    "save",
    "show_batch",
    "svg",
    "theme",
    "update_ratio",
]
