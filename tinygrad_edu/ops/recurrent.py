"""The walk of an LSTM or a GRU along a sequence as one op: a tenth of the Python of its steps.

Going back, what a gate adds to the gradient is that of the state times a slope that the forward has
settled. So the slopes of all steps are found at once, and the walk back is left with few products.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.ops.activation import sigmoid
from tinygrad_edu.ops.declare import Rule, primitive
from tinygrad_edu.ops.elementwise import tanh
from tinygrad_edu.ops.fused import linear
from tinygrad_edu.ops.joining import split, stack, unstack

Array = np.ndarray[Any, Any]


def _copy(a: Any, *others: Any) -> Array:
    """A copy of a in the dtype that all operands come to; None among them counts for nothing."""
    return np.array(a, np.result_type(a, *(x for x in others if x is not None)))


def _to_sigmoid(x: Array) -> None:
    """Write the sigmoid of x in its place."""
    np.negative(x, out=x)
    np.exp(x, out=x)  # may overflow: 1 / (1 + inf) is what the sigmoid comes to
    x += 1
    np.divide(1, x, out=x)


def _rules_of(together: Callable[..., list[Any]], arity: int) -> list[Rule]:
    """The rule of each operand by itself, of a function that finds all of them."""

    def rule_of(i: int) -> Rule:
        return lambda *operands, saved: together(*operands, saved)[i]

    return [rule_of(i) for i in range(arity)]


# LSTM


def lstm_step(a: Any, h: Any, c: Any, weight: Any, bias: Any) -> tuple[Any, Any]:
    """The h and c that follow, one step of ``lstm``."""
    i, f, g, o = split(a + linear(h, weight, bias), 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def _lstm_definition(a: Any, weight: Any, bias: Any, h: Any, c: Any) -> Any:
    states = []
    for step in unstack(a):
        h, c = lstm_step(step, h, c, weight, bias)
        states.append(stack([h, c]))
    return stack(states, 1)


def _lstm_together(
    g: Any, y: Any, a: Any, weight: Any, bias: Any, h: Any, c: Any, saved: Any, needed: Any = None
) -> list[Any]:
    gates, tanh_c = saved
    length, batch, size = a.shape
    of_i, of_f, of_g, of_o = (gates[:, :, k] for k in range(4))
    h_before, c_before = np.concatenate([np.stack([h, c])[:, None], y[:, :-1]], axis=1)
    # Of c by what goes into i, f and g, then of h by what goes into o; and of h by c.
    slopes = gates * (1 - gates)
    slopes[:, :, 2] = 1 - of_g * of_g
    slopes *= np.stack([of_g, c_before, of_i, tanh_c], axis=2)
    h_by_c = of_o * (1 - tanh_c * tanh_c)
    by_a = np.empty_like(slopes)
    by_h, by_c = np.zeros_like(y[:, 0])
    for t in reversed(range(length)):
        by_h = by_h + g[0, t]
        by_c = by_c + g[1, t] + by_h * h_by_c[t]
        np.multiply(slopes[t, :, :3], by_c[:, None], out=by_a[t, :, :3])
        np.multiply(slopes[t, :, 3], by_h, out=by_a[t, :, 3])
        by_h = by_a[t].reshape(batch, size) @ weight
        by_c = by_c * of_f[t]
    rows = by_a.reshape(length * batch, size)
    by_weight = rows.T @ h_before.reshape(length * batch, size // 4)
    return [by_a.reshape(a.shape), by_weight, rows.sum(0), by_h, by_c]


@primitive(
    *_rules_of(_lstm_together, 5),
    together=_lstm_together,
    saves=True,
    definition=_lstm_definition,
)
def lstm(a: Any, weight: Any, bias: Any, h: Any, c: Any) -> Any:
    """h and c after each step of an LSTM: ``(2, L, N, H)``.

    Args:
        a: what the input brings to the gates i, f, g and o, ``(L, N, 4 H)``, L ≥ 1.
        weight: W_hh, ``(4 H, H)``.
        bias: b_hh, ``(4 H,)``; or None.
        h: what h is at first, ``(N, H)``.
        c: what c is at first, ``(N, H)``.
    """
    length, batch, size = a.shape
    gates = _copy(a, weight, bias, h, c)
    if bias is not None:
        gates += bias
    gates = gates.reshape((length, batch, 4, size // 4))
    y = np.empty((2, length, batch, size // 4), gates.dtype)
    tanh_c = np.empty(y.shape[1:], y.dtype)
    with np.errstate(over="ignore"):
        for t, step in enumerate(gates):
            step += (h @ weight.T).reshape(step.shape)
            of_g = np.tanh(step[:, 2])
            _to_sigmoid(step)
            step[:, 2] = of_g
            c = np.add(step[:, 1] * c, step[:, 0] * of_g, out=y[1, t])
            np.tanh(c, out=tanh_c[t])
            h = np.multiply(step[:, 3], tanh_c[t], out=y[0, t])
    return y, (gates, tanh_c)


# GRU


def gru_step(a: Any, h: Any, weight: Any, bias: Any) -> Any:
    """The h that follows, one step of ``gru``."""
    a_r, a_z, a_n = split(a, 3, axis=-1)
    b_r, b_z, b_n = split(linear(h, weight, bias), 3, axis=-1)
    r, z = sigmoid(a_r + b_r), sigmoid(a_z + b_z)
    n = tanh(a_n + r * b_n)
    return n + z * (h - n)


def _gru_definition(a: Any, weight: Any, bias: Any, h: Any) -> Any:
    states = []
    for step in unstack(a):
        h = gru_step(step, h, weight, bias)
        states.append(h)
    return stack(states)


def _gru_together(
    g: Any, y: Any, a: Any, weight: Any, bias: Any, h: Any, saved: Any, needed: Any = None
) -> list[Any]:
    gates, b_n = saved
    length, batch, size = a.shape
    r, z, n = (gates[:, :, k] for k in range(3))
    h_before = np.concatenate([h[None], y[:-1]])
    # Of h by what goes into n; then by what b brings to r, z and n.
    by_n = (1 - z) * (1 - n * n)
    slopes = np.stack([by_n * b_n * r * (1 - r), (h_before - n) * z * (1 - z), by_n * r], axis=2)
    by_b = np.empty_like(slopes)
    by_h = np.zeros_like(y[0])
    by_y = np.empty_like(y)
    for t in reversed(range(length)):
        by_h = np.add(by_h, g[t], out=by_y[t])
        np.multiply(slopes[t], by_h[:, None], out=by_b[t])
        by_h = by_h * z[t]
        by_h += by_b[t].reshape(batch, size) @ weight
    rows = by_b.reshape(length * batch, size)
    by_weight = rows.T @ h_before.reshape(length * batch, size // 3)
    by_a = by_b.copy()
    np.multiply(by_y, by_n, out=by_a[:, :, 2])
    return [by_a.reshape(a.shape), by_weight, rows.sum(0), by_h]


@primitive(
    *_rules_of(_gru_together, 4),
    together=_gru_together,
    saves=True,
    definition=_gru_definition,
)
def gru(a: Any, weight: Any, bias: Any, h: Any) -> Any:
    """h after each step of a GRU: ``(L, N, H)``.

    Args:
        a: what the input brings to r, z and n, ``(L, N, 3 H)``, L ≥ 1.
        weight: W_hh, ``(3 H, H)``.
        bias: b_hh, ``(3 H,)``; or None.
        h: what h is at first, ``(N, H)``.
    """
    length, batch, size = a.shape
    gates = _copy(a, weight, bias, h).reshape((length, batch, 3, size // 3))
    y = np.empty((length, batch, size // 3), gates.dtype)
    b_n = np.empty_like(y)
    with np.errstate(over="ignore"):
        for t, step in enumerate(gates):
            b = (h @ weight.T + (0 if bias is None else bias)).reshape(step.shape)
            b_n[t] = b[:, 2]
            step[:, :2] += b[:, :2]
            _to_sigmoid(step[:, :2])
            r, z, n = (step[:, k] for k in range(3))
            n += r * b_n[t]
            np.tanh(n, out=n)
            h = np.add(n, z * (h - n), out=y[t])
    return y, (gates, b_n)
