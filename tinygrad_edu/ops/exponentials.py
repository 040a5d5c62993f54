"""exp(x - max) along an axis, with its sum: where softmax and cross-entropy begin."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.ops.loops import compiled_loops

Array = np.ndarray[Any, Any]


def exponentials(x: Any, axis: int = -1) -> tuple[Array, Array, Array]:
    """``largest = max(x)``, ``e = exp(x - largest)`` and ``Σ e`` over ``axis``.

    No exp exceeds 1, so nothing overflows.

    Returns:
        ``(largest, e, total)``, of which e is a new array, and the others keep ``axis`` as 1.
    """
    x = np.asarray(x)
    largest = np.maximum.reduce(x, axis, keepdims=True)
    rows_last = axis in (-1, x.ndim - 1)
    loops = compiled_loops(x.size) if rows_last and x.dtype == np.float32 else None
    if loops:
        e, total = np.empty(x.shape, x.dtype), np.empty(largest.shape, x.dtype)
        rows = np.ascontiguousarray(x).reshape(-1, x.shape[-1])
        loops.exponentials_of_singles(
            rows, largest.reshape(-1), e.reshape(rows.shape), total.reshape(-1)
        )
        return largest, e, total
    shifted = np.subtract(x, largest, order="C")
    e = np.exp(shifted, out=shifted if shifted.dtype.kind == "f" else None)
    if rows_last and e.size >= 4096 and e.dtype.itemsize >= 4:  # in a third of sum's time
        total = np.vecdot(e, np.ones(e.shape[-1], e.dtype))[..., None]
    else:
        total = np.add.reduce(e, axis, keepdims=True)
    return largest, e, total
