"""Pictures of computation graphs with their gradients, plots of training, and reports.

``draw`` draws a graph, ``draw_neurons`` a network of Values, ``page`` makes a page to step through
one. ``recorder`` sees what training does inside a model. ``plots`` has learning curves, decision
boundaries and more, ``show_batch`` the images of a batch, ``text`` what a terminal can show, and
``report`` writes a page of them all. Everything that is drawn of a graph is read from the graph.
"""

from tinygrad_edu import MissingFolderError
from viz import plots, report, text
from viz.dot import LayoutError
from viz.drawing import Drawing, TooLargeError, draw
from viz.neurons import draw_neurons
from viz.page import Page, page
from viz.plots import show_batch
from viz.recording import Recorder, RecordingError, recorder
from viz.report import Section
from viz.snapshots import Snapshot, Summary

__all__ = [
    "Drawing",
    "LayoutError",
    "MissingFolderError",
    "Page",
    "Recorder",
    "RecordingError",
    "Section",
    "Snapshot",
    "Summary",
    "TooLargeError",
    "draw",
    "draw_neurons",
    "page",
    "plots",
    "recorder",
    "report",
    "show_batch",
    "text",
]
