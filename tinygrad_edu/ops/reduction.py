"""Ops that reduce an axis (sum, mean, max, var, ...), and those that accumulate along one.

``axis`` is an int, a tuple of ints, or None for all; with ``keepdims`` a reduced axis stays, with
length 1. ``where``, a constant array of bools that broadcasts to x, says which entries count.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.errors import OperandError, ShapeError, kind_of
from tinygrad_edu.graph import plain
from tinygrad_edu.ops import elementwise
from tinygrad_edu.ops.declare import NUMPY_FUNCTIONS, composite, primitive
from tinygrad_edu.ops.indexing import nonnegative_axis
from tinygrad_edu.ops.joining import concatenate
from tinygrad_edu.ops.shape import (
    broadcast_to,
    flip,
    reshape,
    roll,
    transpose,
)

# Shapes and counts


def kept_shape(shape: tuple[int, ...], axis: Any) -> tuple[int, ...]:
    """The shape that a reduction has with keepdims=True."""
    if axis is None:
        return (1,) * len(shape)
    if not shape:  # of a number, NumPy takes axis 0 and -1 too
        return ()
    axes = {a % len(shape) for a in ((axis,) if np.ndim(axis) == 0 else axis)}
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def with_kept_axes(g: Any, shape: tuple[int, ...], axis: Any) -> Any:
    """A reduction's result or gradient, with the reduced axes back as length 1."""
    return g.reshape(kept_shape(shape, axis))


def reduced_last(x: Any, axes: tuple[int, ...]) -> Any:
    """x with some axes, counted from the first, laid out flat in a last one."""
    others = [i for i in range(x.ndim) if i not in axes]
    lengths = tuple(x.shape[i] for i in others)
    size = math.prod(x.shape[i] for i in axes)
    return reshape(transpose(x, [*others, *axes]), (*lengths, size))


def _spread(g: Any, shape: tuple[int, ...], axis: Any, where: Any) -> Any:
    """A reduction's gradient, handed to each of the entries that went into it."""
    restored = with_kept_axes(g, shape, axis)
    if where is not None:
        restored = elementwise.where(where, restored, 0.0)
    return broadcast_to(restored, shape)


def _count(shape: tuple[int, ...], axis: Any, where: Any, keepdims: bool) -> Any:
    """How many entries go into each entry of a reduction: a number, or an array for a mask."""
    if where is None:
        kept = zip(shape, kept_shape(shape, axis), strict=True)
        return math.prod(n for n, length in kept if length == 1)
    mask = np.broadcast_to(where, shape)
    return np.sum(mask, axis=axis, keepdims=keepdims)


def _given(**options: Any) -> dict[str, Any]:
    """The options that are not None, which NumPy would not take."""
    return {name: value for name, value in options.items() if value is not None}


# Sums, means and products


@primitive(
    lambda g, y, x, axis, keepdims, dtype, initial, where: _spread(g, x.shape, axis, where),
    symbol="Σ",
    numpy=np.sum,
)
def sum(
    x: Any,
    axis: Any = None,
    keepdims: bool = False,
    dtype: Any = None,
    initial: Any = None,
    where: Any = None,
) -> Any:
    """The sum of x over ``axis``, to which ``initial`` is added; ``dtype`` is what to add up in."""
    return np.sum(
        x, axis=axis, keepdims=keepdims, dtype=dtype, **_given(initial=initial, where=where)
    )


def _mean_rule(g: Any, y: Any, x: Any, axis: Any, keepdims: bool, dtype: Any, where: Any) -> Any:
    count = _count(x.shape, axis, where, keepdims)
    if where is not None:
        count = count.astype(x.dtype)
    return _spread(g / count, x.shape, axis, where)


@primitive(_mean_rule, numpy=np.mean)
def mean(
    x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None, where: Any = None
) -> Any:
    """The mean of x over ``axis``; ``dtype`` is what to add up in."""
    return np.mean(x, axis=axis, keepdims=keepdims, dtype=dtype, **_given(where=where))


def _prod_rule(
    g: Any,
    y: Any,
    x: Any,
    axis: Any,
    keepdims: bool,
    dtype: Any,
    initial: Any,
    where: Any,
) -> Any:
    # ∂y/∂xᵢ is the product of the other entries. y / xᵢ is that too, except where xᵢ is 0.
    factors = x if where is None else elementwise.where(where, x, 1.0)
    kept = kept_shape(x.shape, axis)
    last = [i for i, n in enumerate(kept) if n == 1]
    order = [i for i in range(x.ndim) if i not in last] + last
    lengths = tuple(x.shape[i] for i in order)
    others = _product_of_others(reduced_last(factors, tuple(last)))
    others = transpose(reshape(others, lengths), np.argsort(order).tolist())
    if initial is not None:
        others = others * initial
    return _spread(g, x.shape, axis, where) * others


@primitive(_prod_rule, symbol="Π", numpy=np.prod)
def prod(
    x: Any,
    axis: Any = None,
    keepdims: bool = False,
    dtype: Any = None,
    initial: Any = None,
    where: Any = None,
) -> Any:
    """The product of x over ``axis``, times ``initial``; ``dtype`` is what to multiply in."""
    return np.prod(
        x, axis=axis, keepdims=keepdims, dtype=dtype, **_given(initial=initial, where=where)
    )


# Variance


def _deviation(x: Any, axis: Any, where: Any) -> Any:
    return x - mean(x, axis, True, where=where)


def _var_rule(
    g: Any,
    y: Any,
    x: Any,
    axis: Any,
    ddof: float,
    keepdims: bool,
    where: Any,
    correction: Any,
    dtype: Any,
) -> Any:
    # (∂y/∂x)ᵢ = 2 (xᵢ - mean) / (N - ddof): that the mean moves too adds a sum of deviations, 0.
    count = _count(x.shape, axis, where, keepdims) - _degrees(ddof, correction)
    if where is not None:
        count = count.astype(x.dtype)
    return _spread(2 * g / count, x.shape, axis, where) * _deviation(x, axis, where)


@primitive(_var_rule, numpy=np.var)
def var(
    x: Any,
    axis: Any = None,
    ddof: float = 0,
    keepdims: bool = False,
    where: Any = None,
    correction: Any = None,
    dtype: Any = None,
) -> Any:
    """The variance of x over ``axis``, ``Σ (x - mean)² / (N - ddof)``.

    Args:
        x: the array.
        axis: an int, a tuple, or None for all.
        ddof: 0 for the variance of these numbers, 1 to estimate that of what they are a sample of.
        keepdims: whether the reduced axes stay, with length 1.
        where: which entries count.
        correction: another name for ``ddof``.
        dtype: what to add up in.
    """
    degrees = _degrees(ddof, correction)
    return np.var(x, axis=axis, ddof=degrees, keepdims=keepdims, dtype=dtype, **_given(where=where))


def _std_rule(
    g: Any,
    y: Any,
    x: Any,
    axis: Any,
    ddof: float,
    keepdims: bool,
    where: Any,
    correction: Any,
    dtype: Any,
) -> Any:
    # Where all entries are equal the gradient is 0, though √ has none there: hence y + (y == 0).
    count = _count(x.shape, axis, where, keepdims) - _degrees(ddof, correction)
    if where is not None:
        count = count.astype(x.dtype)
    step = g / (count * (y + (y == 0)))
    return _spread(step, x.shape, axis, where) * _deviation(x, axis, where)


@primitive(_std_rule, numpy=np.std)
def std(
    x: Any,
    axis: Any = None,
    ddof: float = 0,
    keepdims: bool = False,
    where: Any = None,
    correction: Any = None,
    dtype: Any = None,
) -> Any:
    """The standard deviation of x over ``axis``, √var; the arguments are those of ``var``."""
    degrees = _degrees(ddof, correction)
    return np.std(x, axis=axis, ddof=degrees, keepdims=keepdims, dtype=dtype, **_given(where=where))


def _degrees(ddof: float, correction: float | None) -> float:
    if correction is not None and ddof:
        raise OperandError("ddof and correction are two names of one option: give one of them")
    return ddof if correction is None else correction


# The largest and the smallest


def _extreme_rule(
    g: Any, y: Any, x: Any, axis: Any, keepdims: bool, initial: Any, where: Any
) -> Any:
    # Entries that tie share the gradient evenly; a nan is the extreme wherever there is one.
    winners = (x == with_kept_axes(y, x.shape, axis)) | (x != x)
    if where is not None:
        winners = winners & where
    number = np.sum(winners, axis=axis, keepdims=True)
    # There is none where ``initial`` is more extreme than every entry.
    share = with_kept_axes(g, x.shape, axis) / np.maximum(number, 1).astype(x.dtype)
    return elementwise.where(winners, share, 0.0)


@primitive(_extreme_rule, numpy=np.max)
def max(
    x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None, where: Any = None
) -> Any:
    """The largest entry of x over ``axis``. Entries that tie share the gradient evenly.

    Args:
        x: the array.
        axis: an int, a tuple, or None for all.
        keepdims: whether the reduced axes stay, with length 1.
        initial: what the result is at least; needed where there may be no entry.
        where: which entries count; needs ``initial``.
    """
    return np.max(x, axis=axis, keepdims=keepdims, **_given(initial=initial, where=where))


@primitive(_extreme_rule, numpy=np.min)
def min(
    x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None, where: Any = None
) -> Any:
    """The smallest entry of x over ``axis``; the arguments are those of ``max``."""
    return np.min(x, axis=axis, keepdims=keepdims, **_given(initial=initial, where=where))


amax, amin = max, min
NUMPY_FUNCTIONS.update({np.amax: max, np.amin: min})


@composite(numpy=np.ptp)
def ptp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest entry minus the smallest over ``axis``."""
    return max(x, axis, keepdims) - min(x, axis, keepdims)


def _logsumexp_rule(g: Any, y: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    # exp(x - y) is softmax(x). Where every entry is -inf, so is y, and the gradient is taken as 0.
    y = elementwise.where(y == -math.inf, 0.0, y)
    return with_kept_axes(g, x.shape, axis) * elementwise.exp(x - with_kept_axes(y, x.shape, axis))


@primitive(_logsumexp_rule)
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """``log Σ exp(x)`` over ``axis``, without overflow; -inf where every entry is."""
    # Subtracting the largest entry first, and adding it again, changes nothing, and no exp
    # exceeds 1. An infinite one stays where it is: inf - inf is nan.
    x = np.asarray(x, dtype=np.result_type(x, 0.0))
    largest = np.max(x, axis=axis, keepdims=True, initial=-math.inf)
    largest = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore", over="ignore"):  # log(0) is -inf, as it should be
        y = np.log(np.sum(np.exp(x - largest), axis=axis, keepdims=True)) + largest
    return y if keepdims else np.squeeze(y, tuple(range(x.ndim)) if axis is None else axis)


# Accumulation along an axis


def _before(x: Any, first: float, axis: int) -> Any:
    """Each entry's predecessor along ``axis``; ``first`` is that of the first entry."""
    axis %= x.ndim
    ahead = (slice(None),) * axis
    one = (*x.shape[:axis], builtins.min(x.shape[axis], 1), *x.shape[axis + 1 :])
    start = np.full(one, first, dtype=x.dtype)
    return concatenate([start, x[(*ahead, slice(None, -1))]], axis)


def _product_of_others(x: Any) -> Any:
    """For each entry along the last axis, the product of the others."""
    those_before = _before(cumprod(x, -1), 1.0, -1)
    those_after = flip(_before(cumprod(flip(x, -1), -1), 1.0, -1), -1)
    return those_before * those_after


def _cumsum_rule(g: Any, y: Any, x: Any, axis: Any, dtype: Any) -> Any:
    along = 0 if axis is None else axis
    return flip(cumsum(flip(g, along), along), along).reshape(x.shape)


@primitive(_cumsum_rule, numpy=np.cumsum)
def cumsum(x: Any, axis: Any = None, dtype: Any = None) -> Any:
    """The sums ``yₖ = Σᵢ xᵢ`` over i ≤ k along ``axis``; of x laid out flat for None."""
    return np.cumsum(x, axis=axis, dtype=dtype)


def _cumprod_rule(g: Any, y: Any, x: Any, axis: Any, dtype: Any) -> Any:
    # ∂L/∂xᵢ = (Π xⱼ over j < i) hᵢ with hᵢ = Σ gₖ (Π xⱼ over i < j ≤ k) over k ≥ i, so that
    # hᵢ = gᵢ + xᵢ₊₁ hᵢ₊₁. No quotient by xᵢ, which may be 0.
    factors, along = (x, axis) if axis is not None else (x.reshape((math.prod(x.shape),)), 0)
    if not factors.ndim:  # of a number, NumPy takes axis 0 and -1 too
        return g.reshape(x.shape)
    following = roll(factors, -1, along)  # what comes last meets a zero, whatever it is
    h = flip(linear_recurrence(flip(following, along), flip(g, along), along), along)
    return (_before(y, 1.0, along) * h).reshape(x.shape)


@primitive(_cumprod_rule, numpy=np.cumprod)
def cumprod(x: Any, axis: Any = None, dtype: Any = None) -> Any:
    """The products ``yₖ = Πᵢ xᵢ`` over i ≤ k along ``axis``; of x laid out flat for None."""
    return np.cumprod(x, axis=axis, dtype=dtype)


@composite(numpy=getattr(np, "cumulative_sum", None))  # since NumPy 2.1
def cumulative_sum(
    x: Any, axis: Any = None, dtype: Any = None, include_initial: bool = False
) -> Any:
    """``cumsum`` along the only axis or the one given, from 0 on with ``include_initial``."""
    return _cumulated("cumulative_sum", cumsum, x, axis, dtype, 0 if include_initial else None)


@composite(numpy=getattr(np, "cumulative_prod", None))  # since NumPy 2.1
def cumulative_prod(
    x: Any, axis: Any = None, dtype: Any = None, include_initial: bool = False
) -> Any:
    """``cumprod`` along the only axis or the one given, from 1 on with ``include_initial``."""
    return _cumulated("cumulative_prod", cumprod, x, axis, dtype, 1 if include_initial else None)


def _cumulated(
    name: str, accumulate: Any, x: Any, axis: Any, dtype: Any, initial: int | None
) -> Any:
    if axis is None and x.ndim != 1:
        raise ShapeError(f"{name} of shape {x.shape} needs axis=: it has not one axis alone")
    axis = nonnegative_axis(name, x, 0 if axis is None else axis)
    y = accumulate(x, axis, dtype)
    if initial is None:
        return y
    first = np.full((*x.shape[:axis], 1, *x.shape[axis + 1 :]), initial, dtype=y.dtype)
    return concatenate([first, y], axis)


def _arriving(g: Any, a: Any, axis: int) -> Any:
    """∂L/∂yₜ by every way: λₜ = gₜ + aₜ₊₁ λₜ₊₁, the same recurrence from the end."""
    return flip(linear_recurrence(flip(roll(a, -1, axis), axis), flip(g, axis), axis), axis)


def _recurrence_by_a(g: Any, y: Any, a: Any, b: Any, axis: int) -> Any:
    return _arriving(g, a, axis) * _before(y, 0.0, axis)


def _recurrence_by_b(g: Any, y: Any, a: Any, b: Any, axis: int) -> Any:
    return _arriving(g, a, axis)


@primitive(_recurrence_by_a, _recurrence_by_b)
def linear_recurrence(a: Any, b: Any, axis: int = -1) -> Any:
    """``yₜ = aₜ yₜ₋₁ + bₜ`` along ``axis``, from y = 0 before the first place.

    Args:
        a: the factors; the first one is multiplied by zero.
        b: the terms, in the shape of ``a``.
        axis: the axis that t counts.

    Raises:
        ShapeError: the shapes differ.
    """
    if np.shape(a) != np.shape(b):
        raise ShapeError(
            f"linear_recurrence takes factors and terms of one shape, not {np.shape(a)} and"
            f" {np.shape(b)}"
        )
    y = np.array(np.moveaxis(b, axis, 0), dtype=np.result_type(a, b))
    factors = np.moveaxis(a, axis, 0)
    for t in range(1, len(y)):
        y[t] += factors[t] * y[t - 1]
    return np.moveaxis(y, 0, axis)


# What is constant: plain numbers and arrays, which no gradient flows through


@composite(numpy=np.argmax)
def argmax(x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """Where the largest entry is along ``axis``, the first of them; in x laid out flat for None."""
    return _of_data(np.argmax, x, axis=axis, keepdims=keepdims)


@composite(numpy=np.argmin)
def argmin(x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """Where the smallest entry is along ``axis``; the arguments are those of ``argmax``."""
    return _of_data(np.argmin, x, axis=axis, keepdims=keepdims)


@composite(numpy=np.argsort)
def argsort(x: Any, axis: Any = -1, kind: str | None = None, *, stable: bool | None = None) -> Any:
    """The indices that sort x along ``axis``; those into x laid out flat for None."""
    return _of_data(np.argsort, x, axis=axis, kind=kind, **_given(stable=stable))


@composite(numpy=np.argpartition)
def argpartition(x: Any, kth: Any, axis: Any = -1) -> Any:
    """The indices that put the entry ``kth`` where sorting would, no larger ones before it."""
    return _of_data(np.argpartition, x, kth=kth, axis=axis)


@composite(numpy=np.any)
def any(x: Any, axis: Any = None, keepdims: bool = False, *, where: Any = None) -> Any:
    """Whether an entry is not 0, over ``axis``."""
    return _of_data(np.any, x, axis=axis, keepdims=keepdims, **_given(where=where))


@composite(numpy=np.all)
def all(x: Any, axis: Any = None, keepdims: bool = False, *, where: Any = None) -> Any:
    """Whether no entry is 0, over ``axis``."""
    return _of_data(np.all, x, axis=axis, keepdims=keepdims, **_given(where=where))


@composite(numpy=np.count_nonzero)
def count_nonzero(x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """How many entries are not 0, over ``axis``."""
    return _of_data(np.count_nonzero, x, axis=axis, keepdims=keepdims)


def _of_data(function: Callable[..., Any], x: Any, **options: Any) -> Any:
    """What a NumPy function says of the plain numbers in x."""
    data = plain(x)
    try:
        return function(data, **options)
    except (ValueError, TypeError, IndexError) as error:
        kind = kind_of(error)
        raise kind(f"{function.__name__} cannot take shape {np.shape(data)}: {error}") from error
