"""Ops that reduce an axis: sum, mean, max.

``axis`` is an int, a tuple of ints, or None for all; with ``keepdims`` a reduced axis stays, with
length 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu.ops.declare import primitive
from tinygrad_edu.ops.shape import broadcast_to


def _kept(shape: tuple[int, ...], axis: Any) -> tuple[int, ...]:
    """The shape that a reduction has with keepdims=True."""
    if axis is None:
        return (1,) * len(shape)
    if not shape:  # of a number, NumPy takes axis 0 and -1 too
        return ()
    axes = {a % len(shape) for a in ((axis,) if np.ndim(axis) == 0 else axis)}
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def _restored(g: Any, x: Any, axis: Any) -> Any:
    """A reduction's gradient, with the reduced axes back as length 1."""
    return g.reshape(_kept(x.shape, axis))


def _count(x: Any, axis: Any) -> int:
    """How many entries of x go into each entry of its reduction."""
    return math.prod(n for n, kept in zip(x.shape, _kept(x.shape, axis), strict=True) if kept == 1)


@primitive(
    lambda g, y, x, axis, keepdims: broadcast_to(_restored(g, x, axis), x.shape),
    symbol="Σ",
    numpy=np.sum,
)
def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The sum of x over ``axis``."""
    return np.sum(x, axis=axis, keepdims=keepdims)


@primitive(
    lambda g, y, x, axis, keepdims: broadcast_to(_restored(g, x, axis) / _count(x, axis), x.shape),
    numpy=np.mean,
)
def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean of x over ``axis``."""
    return np.mean(x, axis=axis, keepdims=keepdims)


def _max_rule(g: Any, y: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    # Entries that tie for the maximum share the gradient evenly.
    largest = x == _restored(y, x, axis)
    share = largest / np.sum(largest, axis=axis, keepdims=True)
    return _restored(g, x, axis) * share.astype(x.dtype)


@primitive(_max_rule, numpy=np.max)
def max(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest entry of x over ``axis``. Entries that tie share the gradient evenly."""
    return np.max(x, axis=axis, keepdims=keepdims)
