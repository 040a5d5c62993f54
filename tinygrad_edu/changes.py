"""In-place changes of data, and finding the ones that a pending backward pass cannot stand.

Derivative rules read their inputs' data when backward runs. A clock counts changes; a node keeps
the time it was made at, and the memory behind an array, which its views share, the time of its
last change. So keeping track costs a node one number.
"""

from __future__ import annotations

import dis
import weakref
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

from numpy import ndarray

if TYPE_CHECKING:
    from tinygrad_edu.graph import Node
    from tinygrad_edu.ops.declare import Op

clock = 0

_last_change: dict[int, int] = {}  # by the id of the memory's owner, while that is alive


def mark_changed(node: Node) -> None:
    """Say that a node's data were changed in place, or replaced.

    Optimizers, ``load_state_dict`` and ``t[...] = v`` say so themselves. Code of your own that
    changes ``node.data`` should, if a graph made before may still run backward: that backward
    then raises, instead of mixing old numbers with new ones.
    """
    global clock
    clock += 1
    owner = _owner(node)
    key = id(owner)
    if key not in _last_change:
        weakref.finalize(owner, _last_change.pop, key, None).atexit = False
    _last_change[key] = clock


def changed_operand(node: Node) -> Node | None:
    """What a derivative rule of ``node`` would read, and has changed since ``node`` was made."""
    op = cast("Op", node.op)
    operands = [node, *(x for x in node.inputs)]
    for position, x in enumerate(operands, start=1):
        if hasattr(x, "requires_grad") and _last_change.get(id(_owner(x)), 0) > node.born:
            rules = zip(node.inputs, op.rules_for(node.inputs), strict=True)
            asked = [r for y, r in rules if r is not None and getattr(y, "requires_grad", False)]
            if any(_reads(rule, position) for rule in asked):
                return cast("Node", x)
    return None


def _owner(node: Node) -> Any:
    """The array whose memory a Tensor's data are, or a view of; a Value itself."""
    data = node.data
    if not isinstance(data, ndarray):
        return node
    while isinstance(data.base, ndarray):
        data = data.base
    return data


def _reads(rule: Any, position: int) -> bool:
    """Whether a rule makes use of its parameter at ``position``: g, y, then the operands."""
    code = getattr(rule, "__code__", None)
    if code is None or position >= code.co_argcount:
        return True  # a rule of several inputs, or some other callable: it may
    name = code.co_varnames[position]
    if name in code.co_cellvars:
        return True
    steps = list(dis.get_instructions(code))
    for step, following in pairwise([*steps, steps[-1]]):
        # One instruction may load two names, of which the second is what the following one is of.
        *before, last = step.argval if isinstance(step.argval, tuple) else (step.argval,)
        if name in before or (last == name and following.argval not in ("shape", "ndim", "dtype")):
            return True
    return False
