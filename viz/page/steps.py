"""The traversal, step by step: what each derivative rule handed to which input, in the very order.

The engine's own ``topological_order`` and ``pass_back`` are asked, one node at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_edu import Node, topological_order


@dataclass(frozen=True, slots=True)
class Share:
    """What one use of an input adds to its gradient.

    Attributes:
        x: the input.
        position: which operand of the op it is.
        share: g times the local derivative, summed over what was broadcast; shaped like x.
        total: ∂L/∂x so far, with this share.
    """

    x: Node
    position: int
    share: Any
    total: Any


def backward_steps(
    root: Node, found: Mapping[Node, Any]
) -> Iterator[tuple[Node, Any, list[Share]]]:
    """Each node that passes a gradient on, in the order of the traversal: (node, g, shares).

    Args:
        root: where backward starts.
        found: ∂root/∂node for every node, from ``tinygrad_edu.gradients(root)``.
    """
    totals: dict[Node, Any] = {}
    for node in reversed(topological_order(root)):
        g = found.get(node)
        if node.op is None or g is None:
            continue
        shares = []
        for position, share in _shares(node, g):
            x = node.inputs[position]
            with np.errstate(all="ignore"):
                totals[x] = totals[x] + share if x in totals else share
            shares.append(Share(x, position, share, totals[x]))
        totals.pop(node, None)  # complete: it is g
        yield node, g, shares


def _shares(node: Node, g: Any) -> list[tuple[int, Any]]:
    """What ``node`` hands to each of its operands: (position, share).

    An operand that stands at two positions, as in x · x, gets two shares, which the engine adds up
    at once. To see them apart, the node's rules run on stand-ins: one for each position.
    """
    stand_ins = [x.detach() if isinstance(x, Node) else x for x in node.inputs]
    for x, stand_in in zip(node.inputs, stand_ins, strict=True):
        if isinstance(x, Node):
            stand_in.requires_grad = x.requires_grad
    copy = node.detach()
    copy.op, copy.inputs, copy.attrs, copy.saved = (
        node.op,
        tuple(stand_ins),
        node.attrs,
        node.saved,
    )
    pending: dict[Node, Any] = {}
    with np.errstate(all="ignore"):  # a NaN is shown where it happens
        copy.pass_back(g, pending, set())
    return [
        (i, pending[x]) for i, x in enumerate(stand_ins) if isinstance(x, Node) and x in pending
    ]
