"""draw: a computation graph with its gradients, as a picture that notebooks show."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tinygrad_edu import Failure, Node, UnknownNameError
from tinygrad_edu.files import write
from viz.dot import Direction, lay_out, to_dot
from viz.graph import Picture, picture

# At this resolution the text of a PNG is readable at its natural size.
PNG_DPI = 144


def draw(node: Node | Failure, *, gradient: Any = None, direction: Direction = "LR") -> Drawing:
    """Draw the graph that ends in ``node``, with the gradient of ``node`` by everything in it.

    Each box shows a node's data and its gradient ∂node/∂box; between Values each arrow shows
    the local derivative ∂result/∂input. By the chain rule a gradient is the sum, over the arrows
    that leave its box, of the arrow's number times the gradient at its head. Boxes are coloured
    by gradient and grouped by the module that made them. No ``grad`` is read or changed.

    Args:
        node: a Value or Tensor, usually a loss; or an error's ``graph``, which is drawn up to the
            operation that failed.
        gradient: ∂L/∂node, in the shape of ``node``. A node that is not a scalar is drawn
            without gradients unless this is given.
        direction: where ``node`` is drawn: ``"LR"``, to the right, or ``"TB"``, at the bottom.

    Returns:
        A Drawing: a notebook shows it, ``save`` writes it to a file.

    Raises:
        GradientError: the graph was released, or ``gradient`` does not fit.
        OperandError: ``node`` is not a node of a graph.
        UnknownNameError: an unknown direction.

    >>> from tinygrad_edu import Value
    >>> x, w = Value(2.0, label="x"), Value(-0.5, label="w")
    >>> draw((w * x).tanh())
    <Drawing of 4 nodes and 3 arrows>
    """
    if direction not in ("LR", "TB"):
        raise UnknownNameError("direction", direction, ("LR", "TB"))
    return Drawing(picture(node, gradient), direction)


class Drawing:
    """A picture of a graph at the moment it was drawn.

    Attributes:
        picture: the boxes, arrows and groups.
        source: the picture in the DOT language.
    """

    def __init__(self, picture: Picture, direction: Direction = "LR") -> None:
        self.picture = picture
        self.source = to_dot(picture, direction)

    def svg(self) -> str:
        """The picture as an SVG document.

        Raises:
            LayoutError: there is no layout engine, or it failed.
        """
        return lay_out(self.source, "svg").decode()

    def png(self) -> bytes:
        """The picture as a PNG.

        Raises:
            LayoutError: there is no layout engine, or it failed.
        """
        return lay_out(self.source, "png", PNG_DPI)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture to a file, whole or not at all.

        Args:
            path: ends in ``.svg``, ``.png`` or ``.dot``, which says the format.

        Returns:
            The path.

        Raises:
            LayoutError: there is no layout engine, or it failed.
            MissingFolderError: the file's folder does not exist.
            UnknownNameError: the name ends in something else.
        """
        formats = {".svg": self._svg_bytes, ".png": self.png, ".dot": self.source.encode}
        suffix = Path(path).suffix.lower()
        if suffix not in formats:
            raise UnknownNameError("suffix for a drawing", suffix, formats)
        return write(path, formats[suffix]())

    def _svg_bytes(self) -> bytes:
        return self.svg().encode()

    def _repr_svg_(self) -> str:
        """What a notebook shows."""
        return self.svg()

    def __repr__(self) -> str:
        nodes, arrows = len(self.picture.boxes), len(self.picture.arrows)
        return f"<Drawing of {nodes} nodes and {arrows} arrows>"
