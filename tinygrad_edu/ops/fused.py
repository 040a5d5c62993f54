"""Several steps as one op, where that is more stable or faster than the steps.

An op whose rule reads what its forward saved has a ``definition`` in terms of other ops: that is
what a second derivative goes through, and what the tests compare it with.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu.errors import ShapeError, TargetError
from tinygrad_edu.ops.declare import primitive
from tinygrad_edu.ops.elementwise import exp
from tinygrad_edu.ops.indexing import getitem
from tinygrad_edu.ops.reduction import mean, sum


def _rows(x: Any) -> Any:
    return x.reshape((math.prod(x.shape[:-1]), x.shape[-1]))


@primitive(
    lambda g, y, x, weight, bias: g @ weight,
    lambda g, y, x, weight, bias: _rows(g).mT @ _rows(x),
    lambda g, y, x, weight, bias: g,
)
def linear(x: Any, weight: Any, bias: Any) -> Any:
    """``x @ weight.T + bias``.

    Args:
        x: ``(..., in_features)``.
        weight: ``(out_features, in_features)``.
        bias: ``(out_features,)``, or None.

    Returns:
        ``(..., out_features)``.
    """
    y = np.matmul(x, np.transpose(weight))
    if bias is None:
        return y
    return np.add(y, bias, out=y) if y.dtype == np.result_type(y, bias) else y + bias


@primitive(lambda g, y, x, axis: y * (g - sum(g * y, axis, True)))
def softmax(x: Any, axis: int = -1) -> Any:
    """``exp(x) / Σ exp(x)`` over ``axis``, without overflow."""
    # Subtracting the maximum changes nothing, and no exp exceeds 1.
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


@primitive(lambda g, y, x, axis: g - exp(y) * sum(g, axis, True))
def log_softmax(x: Any, axis: int = -1) -> Any:
    """``x - log Σ exp(x)`` over ``axis``, without overflow."""
    shifted = x - np.max(x, axis=axis, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


def _cross_entropy_definition(logits: Any, target: Any) -> Any:
    return -mean(getitem(log_softmax(logits), (np.arange(len(target)), target)))


def _cross_entropy_rule(g: Any, y: Any, logits: Any, target: Any, saved: Any) -> Any:
    # ∂L/∂logits = (softmax(logits) - onehot(target)) / N
    step = g / len(target)
    d = saved * step
    d[np.arange(len(target)), target] -= step
    return d


@primitive(_cross_entropy_rule, saves=True, definition=_cross_entropy_definition)
def cross_entropy(logits: Any, target: Any) -> Any:
    """The mean of ``-log softmax(logits)[target]`` over a batch.

    Args:
        logits: ``(N, classes)``, before any softmax.
        target: ``(N,)`` integers, each in ``[0, classes)``.

    Raises:
        ShapeError: ``logits`` is not 2-D or ``target`` has another length.
        TargetError: ``target`` is not of integers, or one is out of range.
    """
    _check_target(logits, target)
    rows = np.arange(len(target))
    shifted = logits - np.max(logits, axis=1, keepdims=True)
    e = np.exp(shifted)
    total = np.sum(e, axis=1, keepdims=True)
    loss = np.mean(np.log(total[:, 0]) - shifted[rows, target])
    return loss, np.divide(e, total, out=e)


def _check_target(logits: Any, target: Any) -> None:
    labels = np.asarray(target)
    if np.ndim(logits) != 2 or labels.shape != (len(logits),) or not labels.size:
        raise ShapeError(
            f"cross_entropy takes logits (N, classes) and N labels, N > 0; it got logits"
            f" {np.shape(logits)} and labels {labels.shape}"
        )
    if labels.dtype.kind not in "iu":
        raise TargetError(f"cross_entropy takes integer labels, not {labels.dtype}")
    classes = logits.shape[1]
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if wrong.size:
        raise TargetError(
            f"cross_entropy got label {labels[wrong[0]]} at index {wrong[0]}"
            f" ({wrong.size} such), outside [0, {classes}) for logits of {classes} classes"
        )
