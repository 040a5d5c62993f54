"""draw: a computation graph with its gradients, as a picture that notebooks show."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tinygrad_edu import Failure, Node, OperandError, UnknownNameError
from tinygrad_edu.files import write
from viz.collapse import collapse, readable_depth
from viz.dot import Direction, LayoutError, lay_out, to_dot
from viz.folding import folded
from viz.graph import CONSTANTS, Picture, survey
from viz.scale import ThemeName, theme_named
from viz.selection import leading_to_parameters, neighbourhood, without_constants

# At this resolution the text of a PNG is readable at its natural size.
PNG_DPI = 144

# A pixel of a page is 1/96 of an inch. A notebook gets a picture of more boxes as SVG only.
_CSS_DPI, _MOST_AS_PNG = 96, 150

# A graph with more boxes than this is not read: by itself it is drawn with modules closed.
READABLE = 60
# Boxes that are laid out without being asked twice; they take some three seconds.
LIMIT = 2000


class TooLargeError(LayoutError, ValueError):
    """A graph with more boxes than can be drawn in reasonable time."""


def draw(
    node: Node | Failure,
    *,
    gradient: Any = None,
    direction: Direction = "LR",
    depth: int | None = None,
    fold: bool = True,
    constants: bool = True,
    only_parameters: bool = False,
    focus: Node | Sequence[Node] | None = None,
    radius: int = 2,
    names: Mapping[str, Any] | None = None,
    formulas: bool = False,
    theme: ThemeName = "light",
    limit: int = LIMIT,
) -> Drawing:
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
        depth: modules nested deeper are drawn as one box each; 0 closes the outermost ones. By
            default a graph of more than 60 boxes is closed as far as it takes to read it.
        fold: draw modules that repeat in a row, such as the blocks of a transformer, once.
        constants: draw numbers, arrays and data that take no gradient.
        only_parameters: draw only what a gradient of a parameter flows through.
        focus: draw only what is near this node, or these.
        radius: how many arrows away from ``focus`` that is.
        names: what nodes without a label are called, such as ``locals()``.
        formulas: write each local derivative as a formula, too: ``1 - y² = 0.75``.
        theme: ``"light"`` or ``"dark"``.
        limit: refuse to lay out more boxes than this.

    Returns:
        A Drawing: a notebook shows it, ``save`` writes it to a file.

    Raises:
        GradientError: the graph was released, or ``gradient`` does not fit.
        OperandError: ``node`` is not a node of a graph, ``focus`` is none of its nodes, or a
            number is out of range.
        TooLargeError: there are more than ``limit`` boxes to draw.
        UnknownNameError: an unknown direction or theme.

    >>> from tinygrad_edu import Value
    >>> x, w = Value(2.0), Value(-0.5)
    >>> draw((w * x).tanh(), names=locals(), formulas=True)
    <Drawing of 4 nodes and 3 arrows>
    """
    if direction not in ("LR", "TB"):
        raise UnknownNameError("direction", direction, ("LR", "TB"))
    colours = theme_named(theme)
    for name, number in (("depth", depth), ("radius", radius)):
        if number is not None and (not isinstance(number, int) or number < 0):
            raise OperandError(f"{name} of a drawing is an integer from 0 on, not {number!r}")
    taken = survey(node, gradient, names, formulas)
    drawn = taken.picture
    if focus is not None:
        wanted = [focus] if isinstance(focus, Node) else list(focus)
        if strangers := [each for each in wanted if each not in taken.names]:
            raise OperandError(f"focus is not in this graph: {strangers[0]!r:.80}")
        drawn = neighbourhood(drawn, [taken.names[each] for each in wanted], radius)
    if only_parameters:
        drawn = leading_to_parameters(drawn)
    if not constants:
        drawn = without_constants(drawn)
    if fold:
        drawn = folded(drawn)
    if depth is None and (depth := readable_depth(drawn, READABLE)) is not None:
        note = f"modules nested deeper than {depth} are closed: depth={depth + 1} opens more"
        drawn = replace(drawn, notes=(*drawn.notes, note))
    if depth is not None:
        drawn = collapse(drawn, depth)
    if len(drawn.boxes) > limit:
        raise TooLargeError(_too_large(drawn, limit, depth))
    return Drawing(drawn, to_dot(drawn, direction, colours))


def _too_large(picture: Picture, limit: int, depth: int | None) -> str:
    help_with = ["focus=a node draws what is near it"]
    if any(box.kind in CONSTANTS for box in picture.boxes):
        help_with.append("constants=False leaves out what takes no gradient")
    if picture.groups and depth:
        help_with.insert(0, f"depth={depth - 1} closes modules")
    return (
        f"the drawing has {len(picture.boxes):,} boxes, which takes a long time to lay out and is"
        f" hard to read: {', '.join(help_with)}; viz.page shows one module at a time; and limit="
        f"{len(picture.boxes)} draws it all the same"
    )


class Drawing:
    """A picture of a graph at the moment it was drawn.

    Attributes:
        picture: the boxes, arrows and groups.
        source: the picture in the DOT language.
    """

    def __init__(self, picture: Picture, source: str) -> None:
        self.picture = picture
        self.source = source

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

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[Any, Any]:
        """What a notebook shows, and has for readers who have not run it.

        Until a notebook is trusted, which running it makes it, JupyterLab shows no SVG in it.
        """
        shown: dict[str, Any] = {"image/svg+xml": self.svg(), "text/plain": repr(self)}
        if len(self.picture.boxes) > _MOST_AS_PNG:
            return shown, {}
        png = self.png()
        # The first chunk of a PNG begins with the size.
        size = (int.from_bytes(png[at : at + 4]) * _CSS_DPI // PNG_DPI for at in (16, 20))
        shown["image/png"] = base64.b64encode(png).decode()
        return shown, {"image/png": dict(zip(("width", "height"), size, strict=True))}

    def __repr__(self) -> str:
        nodes, arrows = len(self.picture.boxes), len(self.picture.arrows)
        return f"<Drawing of {nodes} nodes and {arrows} arrows>"
