"""Matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.ops.declare import primitive
from tinygrad_edu.ops.reduction import sum


def _by_left(g: Any, y: Any, a: Any, b: Any) -> Any:
    if b.ndim == 1:  # y = Σₖ a[..., k] b[k], a vector or a number for each row of a
        return g[..., None] * b
    if a.ndim == 1:  # a row vector: y[..., n] = Σₖ a[k] b[..., k, n]
        return sum(b * g[..., None, :], -1)
    return g @ b.mT


def _by_right(g: Any, y: Any, a: Any, b: Any) -> Any:
    if a.ndim == 1 and b.ndim == 1:
        return g * a
    if a.ndim == 1:
        return a[:, None] * g[..., None, :]
    if b.ndim == 1:
        return sum(a * g[..., None], tuple(range(a.ndim - 1)))
    return a.mT @ g


@primitive(_by_left, _by_right, symbol="@", numpy=np.matmul)
def matmul(a: Any, b: Any) -> Any:
    """``a @ b``: the matrix product over the last two axes, the others broadcasting.

    Shapes: ``(..., M, K) @ (..., K, N)`` gives ``(..., M, N)``; a 1-D operand is a row vector on
    the left and a column vector on the right, and its axis is dropped from the result.
    """
    return np.matmul(a, b)
