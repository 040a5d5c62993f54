"""page: a computation graph as one self-contained HTML page, and how notebooks show it."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from tinygrad_edu import Node, OperandError, UnknownNameError, Value
from tinygrad_edu.files import write
from viz.dot import Direction
from viz.page.content import Content, content, javascript

# In the order in which they are joined: each uses what stands before it.
SCRIPTS = ("run.js", "layout.js", "graph.js", "details.js", "training.js", "main.js")

# Pixels that a notebook gives the page.
HEIGHT = 680


def page(
    node: Node,
    *,
    gradient: Any = None,
    recorder: Any = None,
    names: Mapping[str, Any] | None = None,
    title: str = "",
    direction: Direction | None = None,
) -> Page:
    """A page on which the graph that ends in ``node`` can be stepped through.

    It plays the forward and then the backward pass in the very order of the traversal; at each
    step it writes the op's rule with the numbers put in. Modules open and close in place. A click
    on a node shows its numbers, gradient, shapes, and the line of source that made it, if the
    graph was made under ``tinygrad_edu.source_lines()``. In a graph of Values the leaves can be
    dragged, and the page computes everything anew.

    Args:
        node: a Value or Tensor, usually a loss.
        gradient: ∂L/∂node, in the shape of ``node``. A node that is not a scalar has only its
            forward pass shown unless this is given.
        recorder: a ``viz.recorder`` of the model's training, for a slider over its time.
        names: what nodes without a label are called, such as ``locals()``.
        title: the heading of the page; by default it says what the graph is.
        direction: of the arrows: ``"LR"``, to the right, or ``"TB"``, downwards; by default the
            first for Values and the second for Tensors, whose graphs are long.

    Returns:
        A Page: a notebook shows it, ``save`` writes it to a file.

    Raises:
        GradientError: the graph was released, or ``gradient`` does not fit.
        LayoutError: the graph is too large to lay out, or there is no layout engine.
        OperandError: ``node`` is not a node of a graph.
        UnknownNameError: an unknown direction.

    >>> from tinygrad_edu import Value
    >>> x, w = Value(2.0, label="x"), Value(-0.5, label="w")
    >>> page((w * x).tanh())
    <Page of 4 nodes: save("backprop.html") writes it>
    """
    if direction not in (None, "LR", "TB"):
        raise UnknownNameError("direction", direction, ("LR", "TB"))
    if not isinstance(node, Node):
        kind = type(node).__name__
        raise OperandError(f"a page shows the graph of a Value or Tensor, not of {kind}")
    if direction is None:
        direction = "LR" if isinstance(node, Value) else "TB"
    return Page(content(node, gradient, direction, recorder, names), title)


class Page:
    """A page about a graph, as it was when the page was made.

    Attributes:
        content: what the page shows, as it stands in the page.
        title: its heading.
    """

    def __init__(self, content: Content, title: str = "") -> None:
        self.content = content
        self.title = title or f"Backpropagation through {len(content['order'])} nodes"

    def html(self) -> str:
        """The page as an HTML document that needs nothing else: no network and no other file."""
        assets = resources.files("viz.page") / "assets"
        return Template((assets / "page.html").read_text(encoding="utf-8")).substitute(
            title=html.escape(_writable(self.title)),
            style=(assets / "page.css").read_text(encoding="utf-8"),
            content=_json(self.content),
            rules=javascript(self.content),
            script="\n".join((assets / name).read_text(encoding="utf-8") for name in SCRIPTS),
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page to a file, whole or not at all.

        Args:
            path: ends in ``.html``.

        Returns:
            The path.

        Raises:
            MissingFolderError: the file's folder does not exist.
            UnknownNameError: the name ends in something else.
        """
        if Path(path).suffix.lower() != ".html":
            raise UnknownNameError("suffix for a page", Path(path).suffix, (".html",))
        return write(path, self.html().encode())

    def _repr_html_(self) -> str:
        """What a notebook shows: the page in a frame of its own, which can touch nothing else."""
        return (
            f'<iframe srcdoc="{html.escape(self.html())}" sandbox="allow-scripts"'
            f' title="{html.escape(_writable(self.title))}"'
            f' style="width: 100%; height: {HEIGHT}px; border: 0"></iframe>'
        )

    def __repr__(self) -> str:
        return f'<Page of {len(self.content["boxes"])} nodes: save("backprop.html") writes it>'


def _writable(text: str) -> str:
    # A lone surrogate, which no UTF-8 file can hold, becomes a question mark.
    return text.encode(errors="replace").decode()


def _json(content: Content) -> str:
    """JSON that can stand in a script element: no text in it can end the element."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")
