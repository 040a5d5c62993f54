"""Pictures of computation graphs with their gradients, plots of training, and reports.

``draw`` draws a graph, ``plots`` has learning curves and decision boundaries, ``report`` writes a
page of them all. Everything is read from the graph itself.
"""

from tinygrad_edu import MissingFolderError
from viz import plots, report
from viz.dot import LayoutError
from viz.drawing import Drawing, draw
from viz.report import Section

__all__ = ["Drawing", "LayoutError", "MissingFolderError", "Section", "draw", "plots", "report"]
