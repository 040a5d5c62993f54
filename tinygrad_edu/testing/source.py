"""Operands and options as Python source, for messages that can be run again."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from tinygrad_edu.graph import Node
from tinygrad_edu.value import Value


def source(x: Any, digits: int | None = None) -> str:
    """An operand or option as Python, which means ``import numpy as np, tinygrad_edu as tg``.

    Args:
        x: a node, array, number, dtype or name, or a list or tuple of such.
        digits: how many an entry of an array has after the point at most; by default as many as
            tell it from every other.

    Raises:
        ValueError: no Python stands for it, as for a function.

    >>> source(np.array([0.1, np.nan])), source(Value(0.5)), source((slice(2), None))
    ('np.array([0.1, np.nan])', 'tg.Value(0.5)', '(slice(None, 2, None), None)')
    >>> source(np.array([1 / 3, 1], np.float32), digits=2)
    'np.array([0.33, 1.  ], dtype=np.float32)'
    """
    if isinstance(x, Value):
        return f"tg.Value({source(x.data)})"
    if isinstance(x, Node):
        return source(x.data, digits)
    if isinstance(x, np.ndarray):
        return _array(x, digits)
    if isinstance(x, tuple | list):
        parts = ", ".join(source(part, digits) for part in x)
        if isinstance(x, list):
            return f"[{parts}]"
        return f"({parts},)" if len(x) == 1 else f"({parts})"
    if isinstance(x, np.dtype):
        return f"np.dtype({x.name!r})"
    if isinstance(x, type) and x.__module__ == "numpy":
        return f"np.{x.__name__}"
    if repr(x).startswith("<"):
        raise ValueError(f"no Python stands for {x!r}")
    return re.sub(r"^(-?)(nan|inf)$", r"\1np.\2", repr(x))


def _array(x: np.ndarray[Any, Any], digits: int | None) -> str:
    inferred = (np.float64, np.int64, np.bool_) if x.size else (np.float64,)
    dtype = "" if x.dtype in inferred else f", dtype=np.{x.dtype.name}"
    if not x.size:
        return f"np.zeros({x.shape}{dtype})"
    if digits is None or not x.ndim:
        numbers = repr(x.tolist())
    else:
        numbers = np.array2string(x, precision=digits, separator=", ", prefix="np.array(")
    numbers = re.sub(r"\b(nan|inf)\b", r"np.\1", numbers)
    return f"np.array({numbers}{dtype})"
