"""Which op of a graph has the derivative rule that is wrong.

Each op is checked by itself, at the inputs it had in the graph. By the chain rule a gradient is
right where every op's own rule is, so the first one that is not is where to look.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.errors import TinygradError
from tinygrad_edu.graph import Node, topological_order
from tinygrad_edu.testing.comparison import Comparison, Loss, Tolerance, compare


class Fault(NamedTuple):
    """An op whose own derivative rule disagrees with finite differences.

    Attributes:
        node: its result in the graph that was checked.
        piece: the op alone, on leaves: a scalar, to be drawn or run.
        positions: which inputs the comparisons are by.
        order: of the derivative that is wrong, 1 or 2.
        wrong: the entries that disagree, the worst first.
    """

    node: Node
    piece: Node
    positions: list[int]
    order: int
    wrong: list[Comparison]


def first_fault(root: Node, order: int, tolerance: Tolerance) -> Fault | None:
    """The op nearest to the inputs whose own rule is wrong; None if every rule is right.

    Args:
        root: the end of the graph.
        order: 2 to try second derivatives too, once all first ones are found right.
        tolerance: what counts as equal.
    """
    if not root.requires_grad:
        return None
    nodes = [node for node in topological_order(root) if _is_checked(node)]
    for derivative in range(1, order + 1):
        for node in nodes:
            fault = _fault(node, derivative, tolerance)
            if fault is not None:
                return fault
    return None


def _is_checked(node: Node) -> bool:
    return node.op is not None and all(
        np.asarray(x.data).dtype == np.float64 for x in (node, *_variable_inputs(node))
    )


def _variable_inputs(node: Node) -> list[Any]:
    return [x for x in node.inputs if isinstance(x, Node) and x.requires_grad]


def _fault(node: Node, order: int, tolerance: Tolerance) -> Fault | None:
    """What is wrong with the rules of the op that made one node."""
    leaves: dict[Node, Any] = {}  # a node that goes in twice stays one node
    for i, x in enumerate(node.inputs):
        if isinstance(x, Node) and x not in leaves:
            leaves[x] = x.detach()
            leaves[x].requires_grad = x.requires_grad
            leaves[x].label = x.label or f"input {i}"
    variables = [leaves[x] for x in dict.fromkeys(_variable_inputs(node))]
    inputs = tuple(leaves[x] if isinstance(x, Node) else x for x in node.inputs)
    apply, op, attrs = type(node).apply, node.op, node.attrs
    assert op is not None
    loss = Loss(lambda: apply(op, inputs, attrs), variables, op.name)
    try:
        wrong = compare(loss, order, tolerance).wrong
    except TinygradError:  # it has no second derivative, say; the check of the whole tells why
        return None
    if not wrong:
        return None
    piece = apply(op, inputs, attrs)
    positions = [next(i for i, y in enumerate(inputs) if y is x) for x in variables]
    return Fault(node, piece.sum() if np.ndim(piece.data) else piece, positions, order, wrong)
