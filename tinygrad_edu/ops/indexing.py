"""Taking entries out of an array, and putting them back: each is the other's derivative."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.ops.declare import primitive


def _getitem_rule(g: Any, y: Any, x: Any, index: Any) -> Any:
    return scatter(g, x.shape, index)


@primitive(_getitem_rule, symbol="[ ]")
def getitem(x: Any, index: Any) -> Any:
    """``x[index]``, for every kind of index that NumPy has."""
    return x[index]


@primitive(lambda g, y, x, shape, index: getitem(g, index))
def scatter(x: Any, shape: Any, index: Any) -> Any:
    """Zeros of ``shape``, to which ``x`` is added at ``index``; repeated places add up."""
    out = np.zeros(shape, dtype=x.dtype)
    if _repeats(index):
        np.add.at(out, index, x)
    else:
        out[index] = x
    return out


def _repeats(index: Any) -> bool:
    """Whether an index can name the same entry twice: only sequences of integers can."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(p.ndim > 0 and p.dtype != bool for p in map(np.asarray, parts))
