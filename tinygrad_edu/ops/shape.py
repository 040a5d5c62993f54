"""Ops that change a shape and no number: reshape, transpose, broadcast_to."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.ops.declare import primitive


def _reshape_rule(g: Any, y: Any, x: Any, shape: Any) -> Any:
    return reshape(g, x.shape)


@primitive(_reshape_rule, numpy=np.reshape)
def reshape(x: Any, shape: Any) -> Any:
    """x with another shape of the same size; one length may be -1."""
    return np.reshape(x, shape)


def _transpose_rule(g: Any, y: Any, x: Any, axes: Any) -> Any:
    if axes is None:
        return transpose(g)
    return transpose(g, tuple(np.argsort([a % x.ndim for a in np.atleast_1d(axes)]).tolist()))


@primitive(_transpose_rule, symbol="T", numpy=np.transpose)
def transpose(x: Any, axes: Any = None) -> Any:
    """x with its axes permuted; reversed if ``axes`` is None."""
    return np.transpose(x, axes)


# The traversal undoes every broadcast, this one too.
@primitive(lambda g, y, x, shape: g, numpy=np.broadcast_to)
def broadcast_to(x: Any, shape: Any) -> Any:
    """x repeated along new axes and axes of length 1, as a read-only view."""
    return np.broadcast_to(x, shape)


# The gradient goes back in the input's dtype, which the traversal sees to.
@primitive(lambda g, y, x, dtype: g)
def astype(x: Any, dtype: Any) -> Any:
    """x converted to another dtype."""
    return x.astype(dtype)
