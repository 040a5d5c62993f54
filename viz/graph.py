"""The drawing model: the boxes, arrows and groups of a picture, as plain text and numbers.

Taken from a graph once, with every gradient from the engine and no ``grad`` touched. Drawing it
later reads the graph no more, so a picture shows the moment it was taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import numpy as np

from tinygrad_edu import Failure, Node, OperandError, Tensor, Value, gradients, topological_order
from tinygrad_edu.formulas import derivative_formula, operand_names
from tinygrad_edu.ops.declare import Op

# A tensor with more entries than this is drawn by its shape alone.
FEW_ENTRIES = 4

Kind = Literal[
    "result", "leaf", "parameter", "data", "number", "array", "failure", "module", "more"
]
# What takes no gradient.
CONSTANTS = frozenset({"data", "number", "array"})


@dataclass(frozen=True, slots=True)
class Box:
    """What is drawn of one node, or of one use of a constant.

    Attributes:
        name: unique in the picture.
        kind: ``"result"`` of an op, ``"leaf"`` Value, ``"parameter"`` Tensor; where no gradient
            flows ``"data"`` for a node, ``"number"`` and ``"array"`` for a constant; ``"failure"``
            for an operation that could not be run; ``"module"`` for one drawn as a single box, and
            ``"more"`` for what is left out.
        label: the node's own label, perhaps empty.
        op: how the node was made; empty unless it is a result.
        rows: what is known about the node: pairs of a caption and a text.
        gradient: ∂root/∂node of a Value, the norm of that of a Tensor; ``None`` where no
            gradient arrives.
        group: the module path it is drawn in, such as ``"features.0"``.
        entries: how many numbers it holds.
        least: of a box that stands for several, the smallest gradient; ``gradient`` is the largest.
    """

    name: str
    kind: Kind
    label: str
    op: str
    rows: tuple[tuple[str, str], ...]
    gradient: float | None
    group: str
    entries: int = 0
    least: float | None = None


@dataclass(frozen=True, slots=True)
class Arrow:
    """One use of an input by the op of a result.

    Attributes:
        tail: the input's box.
        head: the result's box.
        derivative: ∂result/∂input between Values; ``None`` where none is defined or for arrays.
        formula: the same as a formula, if asked for.
        count: for how many uses it is drawn.
    """

    tail: str
    head: str
    derivative: float | None
    formula: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that a drawing shows.

    Attributes:
        boxes: each after the boxes of its inputs.
        arrows: one per use of an input.
        groups: module paths, each after the one it is nested in.
        signed: whether gradients are numbers with a sign (Values) or norms (Tensors).
        has_gradients: whether gradients were computed.
        gradients: all of the graph, which give the scale where some boxes are left out.
        repeats: by module path, how many modules in a row it stands for.
        notes: what else its legend should say.
    """

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    groups: tuple[str, ...]
    signed: bool
    has_gradients: bool
    gradients: tuple[float, ...] = ()
    repeats: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Survey:
    """A picture, and what it was taken from.

    Attributes:
        picture: the picture.
        names: the box of each node.
        order: the nodes that a gradient flows through, in topological order.
        gradients: ∂root/∂node, if there are any.
    """

    picture: Picture
    names: dict[Node, str]
    order: list[Node]
    gradients: dict[Node, Any] | None


def picture(root: Node | Failure, gradient: Any = None) -> Picture:
    """The drawing model of the graph that ends in ``root``; see ``survey``."""
    return survey(root, gradient).picture


def survey(
    root: Node | Failure,
    gradient: Any = None,
    names: Mapping[str, Any] | None = None,
    formulas: bool = False,
) -> Survey:
    """The drawing model of the graph that ends in ``root``, with the nodes that it shows.

    Args:
        root: the node whose gradients are shown; or the ``graph`` of an error, for the graph up
            to the operation that failed, without gradients.
        gradient: ∂L/∂root for a root that is not a scalar; without it such a graph is drawn
            without gradients.
        names: what nodes without a label are called, such as ``locals()``.
        formulas: have arrows between Values carry the local derivative as a formula.

    Raises:
        GradientError: the graph was released.
        OperandError: ``root`` is not a node of a graph.
    """
    if not isinstance(root, Node | Failure):
        raise OperandError(f"a picture starts from a Value or Tensor, not {type(root).__name__}")
    labels = {
        x: name
        for name, x in (names or {}).items()
        if isinstance(x, Node) and not name.startswith("_")
    }
    ends = [root] if isinstance(root, Node) else [x for x in root.inputs if isinstance(x, Node)]
    order = list(dict.fromkeys(node for end in ends for node in topological_order(end)))
    found = _gradients(root, gradient) if isinstance(root, Node) else None
    scopes = _leaf_scopes([*order, root] if isinstance(root, Failure) else order)
    boxes: list[Box] = []
    arrows: list[Arrow] = []
    drawn_as: dict[Node, str] = {}

    def add(node: Node) -> None:
        drawn_as[node] = f"n{len(boxes)}"
        label = node.label or labels.get(node, "")
        boxes.append(_box(drawn_as[node], label, node, scopes.get(node, ""), found))

    def add_inputs(node: Node | Failure) -> list[tuple[int, str]]:
        uses: list[tuple[int, str]] = []
        for i, x in enumerate(node.inputs):
            if x is None:  # an absent operand
                continue
            if isinstance(x, Node):
                if x not in drawn_as:  # data: the topological order leaves it out
                    add(x)
                tail = drawn_as[x]
            else:
                tail = f"n{len(boxes)}"
                boxes.append(_constant_box(tail, x, node))
            uses.append((i, tail))
        return uses

    for node in order:
        uses = add_inputs(node)
        if node not in drawn_as:
            add(node)
        for i, tail in uses:
            derivative = local_derivative(node, i) if isinstance(node, Value) else None
            formula = ""
            if formulas and derivative is not None:
                formula = _formula(cast(Value, node), i, labels)
            arrows.append(Arrow(tail, drawn_as[node], derivative, formula))
    if isinstance(root, Failure):
        uses = add_inputs(root)
        boxes.append(_failure_box(f"n{len(boxes)}", root))
        arrows += [Arrow(tail, boxes[-1].name, None) for _, tail in uses]
    drawn = Picture(
        tuple(boxes),
        tuple(arrows),
        groups_of(boxes),
        signed=isinstance(ends[0] if ends else root, Value),
        has_gradients=found is not None,
        gradients=tuple(box.gradient for box in boxes if box.gradient is not None),
    )
    return Survey(drawn, drawn_as, order, found)


def local_derivative(y: Value, position: int) -> float | None:
    """∂y/∂x by the input x at a position of the op that made y, with the other inputs fixed.

    It is what the op's own derivative rule answers to g = 1. An input that appears twice has two
    local derivatives, and its gradient takes their sum.

    Returns:
        The derivative; ``None`` if no gradient flows to that input.

    >>> x = Value(3.0)
    >>> local_derivative(x * x, 0), local_derivative(x * 5, 1)
    (3.0, None)
    """
    x = y.inputs[position]
    rule = y.op.rules[position] if y.op else None
    if rule is None or not isinstance(x, Value) or not x.requires_grad:
        return None
    operands = [x.data if isinstance(x, Value) else x for x in y.inputs]
    attrs = y.attrs or {}
    with np.errstate(all="ignore"):
        try:
            return float(rule(1.0, y.data, *operands, **attrs))
        except (ArithmeticError, ValueError):
            # Python raises where IEEE arithmetic has an inf or nan, as in 1 / 0.
            return float(rule(*map(np.float64, (1.0, y.data, *operands)), **attrs))


def number(x: Any) -> str:
    """A number as pictures show it: four significant digits, integers in full.

    >>> number(0.123456), number(-0.0), number(float("nan")), number(np.int64(12345))
    ('0.1235', '0', 'NaN', '12345')
    """
    if isinstance(x, bool | np.bool_ | int | np.integer):
        return str(x)
    return "NaN" if math.isnan(x) else f"{x + 0.0:.4g}"


def repeated(first: str, times: int) -> str:
    """What modules in a row are called.

    >>> repeated("0", 12)
    '0 … 11  ×12'
    """
    return f"{first} … {int(first) + times - 1}  ×{times}"


def _gradients(root: Node, gradient: Any) -> dict[Node, Any] | None:
    """∂root/∂node for every node; ``None`` where that would take a ``gradient`` for the root."""
    if gradient is None and (not root.requires_grad or np.size(root.data) != 1):
        return None
    # A NaN or an overflow is shown where it happens, which beats a warning from somewhere.
    with np.errstate(all="ignore"):
        return gradients(root, gradient)


def _leaf_scopes(order: Sequence[Node | Failure]) -> dict[Node, str]:
    """The module path of each leaf: the innermost one that contains all of its uses.

    A parameter is made outside of every module's call, so it has no scope of its own.
    """
    scopes: dict[Node, str] = {}
    for node in order:
        for x in node.inputs:
            if isinstance(x, Node) and x.requires_grad and x.is_leaf:
                scopes[x] = _common(scopes.get(x, node.scope), node.scope)
    return scopes


def _common(a: str, b: str) -> str:
    """The longest module path that both paths begin with."""
    shared = []
    for part, other in zip(a.split("."), b.split("."), strict=False):
        if part != other:
            break
        shared.append(part)
    return ".".join(shared)


def groups_of(boxes: Iterable[Box]) -> tuple[str, ...]:
    """Every module path with a box in it, and the paths around it, outer ones first."""
    groups: dict[str, None] = {}
    for path in dict.fromkeys(box.group for box in boxes if box.group):
        ends = [i for i, letter in enumerate(path) if letter == "."]
        groups.update(dict.fromkeys([*(path[:i] for i in ends if i), path]))
    return tuple(groups)


def _box(name: str, label: str, node: Node, leaf_scope: str, found: dict[Node, Any] | None) -> Box:
    kind: Kind
    if node.op is not None:
        kind = "result"
    elif node.requires_grad:
        kind = "parameter" if isinstance(node, Tensor) else "leaf"
    else:
        kind = "data"
    gradient = None if found is None else size(found.get(node))
    rows = [] if node.op is None else options(node.op, node.attrs)
    rows += _array_rows(node.data) if isinstance(node, Tensor) else [("data", number(node.data))]
    if found is not None and node.requires_grad:
        caption = "‖grad‖" if isinstance(node, Tensor) else "grad"
        rows.append((caption, "no grad" if gradient is None else number(gradient)))
    group = {"result": node.scope, "data": ""}.get(kind, node.scope or leaf_scope)
    return Box(name, kind, label, _op(node), tuple(rows), gradient, group, np.size(node.data))


def _constant_box(name: str, x: Any, user: Node | Failure) -> Box:
    """A number is drawn next to what uses it, and an array, such as a mask, that meets a result.

    An array that meets parameters alone is what a module was called with, and drawn outside.
    """
    if np.ndim(x) == 0:
        return Box(name, "number", "", "", (("", number(x)),), None, user.scope)
    meets_result = any(isinstance(other, Node) and other.op is not None for other in user.inputs)
    group = user.scope if meets_result else ""
    return Box(name, "array", "", "", tuple(_array_rows(np.asarray(x))), None, group)


def _failure_box(name: str, failure: Failure) -> Box:
    rows = [(option, _option(value)) for option, value in (failure.attrs or {}).items()]
    return Box(name, "failure", "", f"{failure.name} failed", tuple(rows), None, failure.scope)


def options(op: Op, attrs: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """The options of an op that are not its defaults, as pairs of a name and a text."""
    return [
        (name, _option(value))
        for name, value in (attrs or {}).items()
        if isinstance(value, np.ndarray) or not _same(value, op.defaults.get(name))
        # Ones for every axis, such as a stride, no padding, and a single group say nothing.
        if not (
            isinstance(value, tuple) and value and all(isinstance(x, int) and x == 1 for x in value)
        )
        if not (name == "padding" and not np.any(value))
        if (name, value) != ("groups", 1)
    ]


def _same(value: Any, default: Any) -> bool:
    """Whether an option is its default, perhaps once for each axis: ((1, 1)) for 1."""
    if isinstance(value, tuple) and not isinstance(default, tuple) and value:
        return all(_same(each, default) for each in value)
    try:
        return bool(value == default)
    except ValueError:  # an index with an array in it
        return False


def _option(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size > FEW_ENTRIES:
        return f"array {value.shape}"
    if isinstance(value, tuple) and any(isinstance(each, np.ndarray) for each in value):
        return ", ".join(map(_option, value))
    return " ".join(str(value).split())


def known_operands(node: Node) -> tuple[float | None, ...]:
    """The exponent, where it is a constant: 2 x is easier to read than p x^(p - 1).

    Any other constant only takes the place of its name in a formula.
    """
    assert node.op is not None
    if node.op.name != "power" or not isinstance(node.inputs[1], float | int):
        return ()
    return None, float(node.inputs[1])


def _formula(node: Value, position: int, labels: Mapping[Node, str]) -> str:
    """The local derivative in the names of the picture, or else in those of the rule."""
    assert node.op is not None
    formula = derivative_formula(node.op, position, node.attrs, known_operands(node))
    if formula is None:
        return ""
    names: dict[str, str] = {}
    for slot, x in (("y", node), *zip(operand_names(node.op), node.inputs, strict=True)):
        name = (x.label or labels.get(x, "")) if isinstance(x, Node) else number(x)
        if name:
            names[slot] = name
    return formula.with_numbers(names)


def _array_rows(data: np.ndarray[Any, Any]) -> list[tuple[str, str]]:
    rows = [("shape", str(data.shape)), ("dtype", str(data.dtype))]
    if 0 < data.size <= FEW_ENTRIES:
        text = np.array2string(data, separator=", ", formatter={"all": number})
        rows.append(("data", " ".join(text.split())))
    elif data.dtype.kind == "f" and data.size:
        rows.append(("‖data‖", number(size(data))))
    return rows


def size(gradient: Any) -> float | None:
    """A number as it is; of an array the Euclidean norm, safe from overflow."""
    if not isinstance(gradient, np.ndarray):
        return None if gradient is None else float(gradient)
    entries = np.abs(gradient.ravel().astype(np.float64))
    largest = float(entries.max(initial=0.0))
    if largest == 0 or not math.isfinite(largest):
        return largest
    return largest * float(np.linalg.norm(entries / largest))


def _op(node: Node) -> str:
    """An op's symbol; on Tensors followed by its name, or the name alone if it has that in it."""
    if node.op is None:
        return ""
    name, symbol = node.op.name, node.op.symbol
    if isinstance(node, Value):
        return symbol
    return name if symbol in name else f"{symbol} {name}"
