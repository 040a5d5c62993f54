"""The Axes of plots: ones that a notebook shows, and grids of them inside one.

matplotlib is imported here at once, and this file only when something is plotted.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

# Dots per inch of a picture, and how many of them a notebook shows as an inch.
DPI, _SHOWN_DPI = 144, 72


class ShownAxes(Axes):
    """Axes that, as the value of a notebook's cell, are shown as their figure.

    IPython shows a Figure only if pyplot, whose state is global, knows it; it asks any other value
    for its picture.
    """

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        figure = root(self)
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=DPI)
        width, height = figure.get_size_inches() * _SHOWN_DPI
        return content.getvalue(), {"width": int(width), "height": int(height)}


def new_axes(width: float, height: float, paper: str) -> Axes:
    """Axes of a new figure, in inches and of that colour, that pyplot does not know."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor=paper)
    return figure.add_subplot(axes_class=ShownAxes)


def root(axes: Axes) -> Figure:
    """The whole figure that Axes are in, through any subfigures."""
    return axes.figure.canvas.figure


@dataclass(frozen=True)
class Margins:
    """In inches, what the labels of a panel take at each of its sides."""

    left: float
    right: float
    bottom: float
    top: float


@dataclass(frozen=True)
class Cell:
    """A panel's place in other Axes: a cell of a grid, less its margins.

    It is found anew whenever the figure is drawn, so that it fits after any layout.
    """

    outer: Axes
    rows: int
    columns: int
    index: int
    margins: Margins

    def __call__(self, axes: Any, renderer: Any) -> Bbox:
        """Where the panel is, as a share of the figure."""
        row, column = divmod(self.index, self.columns)
        box = self.outer.get_position()
        figure = self.outer.figure
        across, up = (length / figure.dpi for length in (figure.bbox.width, figure.bbox.height))
        width, height = box.width / self.columns, box.height / self.rows
        left = box.x0 + column * width
        bottom = box.y1 - (row + 1) * height
        m = self.margins
        horizontal = _within(width, m.left / across, m.right / across)
        vertical = _within(height, m.bottom / up, m.top / up)
        return Bbox([[left + a, bottom + b] for a, b in zip(horizontal, vertical, strict=True)])


def _within(length: float, before: float, after: float) -> tuple[float, float]:
    """Where a part of a length begins and ends; margins that leave nothing are made smaller."""
    scale = min(1.0, 0.8 * length / (before + after)) if before + after else 1.0
    return scale * before, length - scale * after
