"""Compare the engine's gradients with finite differences.

The finite difference knows nothing of derivative rules: it only evaluates the function. So where
the two agree, the rules, and how the traversal put them together, are right.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np

from tinygrad_edu.errors import DTypeError, GradientError, GradientMismatchError, OperandError
from tinygrad_edu.graph import Node, enable_grad, gradients
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.value import Value

# The smallest step h, for an x of at most 1 in size; the others are 2h and 4h.
STEP = 2.0**-11


def gradcheck(
    f: Callable[..., Any], *inputs: Any, order: int = 1, rtol: float = 1e-6, atol: float = 1e-8
) -> None:
    """Check that the gradient of ``f`` at ``inputs`` is the one that finite differences see.

    Each entry x of each input is moved by a few steps h, and the central differences

        D(h) = (L(x + h) - L(x - h)) / 2h,   L = Σ w · f(inputs),

    whose error is a series in h², are extrapolated to h = 0. The last correction, with a bound
    for rounding, estimates the error that remains. The entry passes where

        |analytic - numeric| ≤ atol + rtol |numeric| + error.

    Choose inputs away from kinks and ties, where the derivative is a convention. ``f`` must give
    the same result each time it is called.

    Args:
        f: maps nodes to one node. The entries of a result that is not a scalar are added up with
            fixed pseudo-random weights w.
        inputs: what to differentiate by: float64 Tensors, Values, float64 ndarrays and Python
            numbers; the last two reach ``f`` as Tensors. A node that requires no gradient is
            passed on as it is, and not differentiated by.
        order: 1, or 2 to check second derivatives too: those of Σ v · ∂L/∂input, with fixed
            pseudo-random v.
        rtol: what the gradients may differ by, relative to the numeric one.
        atol: what they may differ by besides.

    Raises:
        GradientMismatchError: the gradients differ; the message is a table of where. An entry
            that does not reach the result has the gradient 0, and that is compared as well.
        DTypeError: an input to differentiate by, or the result, is not of float64.
        GradientError: no input requires a gradient.
        OperandError: the result is not a node, or ``order`` is another number.

    Source: L. F. Richardson, 1911, on extrapolation to the limit.

    >>> import numpy as np
    >>> from tinygrad_edu.testing import gradcheck
    >>> gradcheck(lambda x, w: (x @ w).tanh(), np.eye(3), np.array([0.1, -0.2, 0.3]), order=2)
    """
    if order not in (1, 2):
        raise OperandError(f"gradcheck checks order=1 or order=2, not {order!r}")
    nodes = [_as_node(x, i) for i, x in enumerate(inputs)]
    variables = [x for x in nodes if x.requires_grad]
    if not variables:
        raise GradientError("gradcheck has nothing to differentiate by: no input requires_grad")

    def loss() -> Any:
        y = f(*nodes)
        if not isinstance(y, Node):
            raise OperandError(f"f must return a Value or a Tensor, not {type(y).__name__}")
        _check_float64(y, "the result of f")
        return _weighted_sum(y, np.random.default_rng(0)) if np.ndim(y.data) else y

    def slope() -> Any:
        found = _gradients(loss(), variables, create_graph=True)
        rng = np.random.default_rng(1)
        parts = [_weighted_sum(found[x], rng) for x in variables if x in found]
        return sum(parts[1:], start=parts[0]) if parts else Tensor(np.zeros(()))

    with enable_grad():
        _compare(loss, nodes, "gradient", rtol, atol)
        if order == 2:
            _compare(slope, nodes, "second derivative", rtol, atol)


def _compare(
    loss: Callable[[], Any], nodes: list[Any], what: str, rtol: float, atol: float
) -> None:
    """Raise a table of the entries where the gradient of ``loss()`` is not the numeric one."""
    variables = [x for x in nodes if x.requires_grad]
    found = _gradients(loss(), variables)
    rows: list[tuple[str, ...]] = []
    for i, x in enumerate(nodes):
        if not x.requires_grad:
            continue
        gradient = np.asarray(found.get(x, np.zeros_like(x.data)))
        for index in np.ndindex(gradient.shape):
            analytic = float(gradient[index])
            numeric, error = _derivative(loss, x, index)
            # A larger estimate is of no smooth function, and would let any gradient pass.
            trusted = min(error, 1e-3 * max(1.0, abs(numeric)))
            close = abs(analytic - numeric) <= atol + rtol * abs(numeric) + trusted
            if not close:  # where one of them is nan, too
                row = f"{i} {x.label}", str(index), f"{analytic:.9g}", f"{numeric:.9g}"
                rows.append((*row, f"{error:.1e}"))
    if rows:
        raise GradientMismatchError(
            f"the {what} differs from finite differences at {len(rows)} of"
            f" {sum(np.size(x.data) for x in variables)} entries:\n{_table(rows)}"
        )


def _derivative(loss: Callable[[], Any], x: Any, index: tuple[int, ...]) -> tuple[float, float]:
    """The derivative of ``loss()`` by one entry of x, and an estimate of its error."""
    data = x.data
    h = STEP * max(1.0, abs(float(np.asarray(data)[index])))
    largest = 0.0

    def central(step: float) -> float:
        nonlocal largest
        values = []
        for signed in (step, -step):
            moved = np.array(data)
            moved[index] += signed
            x.data = moved if isinstance(x, Tensor) else float(moved)
            values.append(float(loss().data))
        largest = max(largest, *map(abs, values))
        return (values[0] - values[1]) / (2 * step)

    try:
        coarse, middle, fine = central(4 * h), central(2 * h), central(h)
    finally:
        x.data = data
    # D(h) = L' + c h² + d h⁴ + ...: each row eliminates the leading power of h.
    first, second = (4 * middle - coarse) / 3, (4 * fine - middle) / 3
    derivative = (16 * second - first) / 15
    rounding = 8 * np.finfo(np.float64).eps * largest / h
    return derivative, abs(derivative - second) + rounding


def _gradients(y: Any, variables: list[Any], create_graph: bool = False) -> dict[Any, Any]:
    if not y.requires_grad:  # y depends on none of them
        return {}
    return gradients(y, sources=frozenset(variables), create_graph=create_graph)


def _weighted_sum(y: Any, rng: np.random.Generator) -> Any:
    """Σ w · y: a scalar that no two entries of y reach in the same way."""
    if isinstance(y, Value):
        return y * rng.uniform(0.5, 1.5)
    return (y * rng.uniform(0.5, 1.5, y.data.shape)).sum()


def _as_node(x: Any, position: int) -> Any:
    if isinstance(x, Real):
        x = np.array(float(x))
    node = Tensor(x, requires_grad=True) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x
    if not isinstance(node, Node):
        kind = f"ndarray of {x.dtype}" if isinstance(x, np.ndarray) else type(x).__name__
        raise DTypeError(
            f"input {position} of gradcheck must be a node, a number or a float64 ndarray, not"
            f" {kind}; a constant belongs in f"
        )
    if node.requires_grad:
        _check_float64(node, f"input {position} of gradcheck")
    return node


def _check_float64(node: Node, what: str) -> None:
    if isinstance(node, Tensor) and node.dtype != np.float64:
        raise DTypeError(
            f"{what} is of {node.dtype}: its rounding would drown the finite differences, which"
            " need float64, as in Tensor(x, dtype=np.float64)"
        )


def _table(rows: list[tuple[str, ...]]) -> str:
    """The rows under a heading, the first few of many, in columns."""
    shown = [("input", "index", "analytic", "numeric", "its error"), *rows[:10]]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    ]
    return "\n".join(lines + [f"... and {len(rows) - 10} more"] * (len(rows) > 10))
