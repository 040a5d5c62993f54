"""Statistics: averages, medians and quantiles, covariances, and reductions that pass over nan.

``axis`` and ``keepdims`` are as in the reductions, which all of these are put together from.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.errors import OperandError, ShapeError, UnknownNameError
from tinygrad_edu.graph import Node, plain
from tinygrad_edu.ops import elementwise, reduction
from tinygrad_edu.ops.declare import composite, constant
from tinygrad_edu.ops.indexing import nonnegative_axis, take_along_axis
from tinygrad_edu.ops.joining import concatenate
from tinygrad_edu.ops.shape import (
    atleast_2d,
    broadcast_to,
    diagonal,
    moveaxis,
    reshape,
    sort,
    squeeze,
    transpose,
)

# Averages and medians


@composite(numpy=np.average)
def average(
    x: Any,
    axis: Any = None,
    weights: Any = None,
    returned: bool = False,
    *,
    keepdims: bool = False,
) -> Any:
    """``Σ w x / Σ w`` over ``axis``, differentiable by both; the mean if there are no weights.

    Args:
        x: the array.
        axis: an int, a tuple, or None for all.
        weights: in the shape of x, or with the lengths of x along ``axis``. Weights that add up
            to 0 give nan or inf.
        returned: return ``Σ w`` as well, in the shape of the average.
        keepdims: whether the reduced axes stay, with length 1.

    Raises:
        ShapeError: ``weights`` have another shape.
    """
    if weights is None:
        result = reduction.mean(x, axis, keepdims)
        total: Any = math.prod(x.shape) // math.prod(result.shape)
    else:
        weights = _along(weights, x, axis)
        total = reduction.sum(weights, axis, keepdims)
        result = reduction.sum(x * weights, axis, keepdims) / total
    if not returned:
        return result
    kind = total if isinstance(total, Node) else np.asarray(total, dtype=result.dtype)
    return result, broadcast_to(kind, result.shape)


@composite(numpy=np.median)
def median(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The middle entry of x over ``axis`` in order, or the mean of the two; nan if there is one.

    Raises:
        ShapeError: there are no entries to take the middle of.
    """
    rows = _rows("median", x, axis)
    n = rows.shape[-1]
    ascending = sort(rows, -1)
    largest = ascending[..., -1]
    middle = reduction.mean(ascending[..., (n - 1) // 2 : n // 2 + 1], -1)
    result = elementwise.where(largest != largest, largest, middle)  # nan comes last in order
    return reduction.with_kept_axes(result, x.shape, axis) if keepdims else result


@composite(numpy=np.quantile)
def quantile(
    x: Any, q: Any, axis: Any = None, keepdims: bool = False, method: str = "linear"
) -> Any:
    """The number that a share q of the entries over ``axis`` does not exceed; nan if one is nan.

    In order, the entries stand at 0, 1, ..., N - 1, and the quantile at q (N - 1).

    Args:
        x: the array.
        q: a share in ``[0, 1]``, or an array of them, whose axes come first in the result.
        axis: an int, a tuple, or None for all.
        keepdims: whether the reduced axes stay, with length 1.
        method: what is taken between two entries: "linear" interpolates, "lower", "higher",
            "nearest" and "midpoint" are what they say.

    Raises:
        OperandError: q is outside ``[0, 1]``.
        ShapeError: there are no entries.
    """
    return _quantile("quantile", x, q, axis, keepdims, method)


@composite(numpy=np.percentile)
def percentile(
    x: Any, q: Any, axis: Any = None, keepdims: bool = False, method: str = "linear"
) -> Any:
    """``quantile`` with q in percent, in ``[0, 100]``."""
    share = np.asarray(constant(q, "percentile", "q")) / 100
    return _quantile("percentile", x, share, axis, keepdims, method)


# Over the entries that are numbers: nan is passed over, and gets a gradient of 0


@composite(numpy=np.nansum)
def nansum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The sum of the entries over ``axis`` that are not nan; 0 if there is none."""
    return reduction.sum(_where_number(x, 0)[0], axis, keepdims)


@composite(numpy=np.nanprod)
def nanprod(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The product of the entries over ``axis`` that are not nan; 1 if there is none."""
    return reduction.prod(_where_number(x, 1)[0], axis, keepdims)


@composite(numpy=np.nancumsum)
def nancumsum(x: Any, axis: Any = None) -> Any:
    """``cumsum``, to which nan adds nothing."""
    return reduction.cumsum(_where_number(x, 0)[0], axis)


@composite(numpy=np.nancumprod)
def nancumprod(x: Any, axis: Any = None) -> Any:
    """``cumprod``, which nan leaves as it is."""
    return reduction.cumprod(_where_number(x, 1)[0], axis)


@composite(numpy=np.nanmean)
def nanmean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean of the entries over ``axis`` that are not nan; nan if there is none."""
    numbers, is_number = _where_number(x, 0)
    return reduction.mean(numbers, axis, keepdims, where=is_number)


@composite(numpy=np.nanvar)
def nanvar(x: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    """The variance of the entries over ``axis`` that are not nan; see ``var``."""
    numbers, is_number = _where_number(x, 0)
    return reduction.var(numbers, axis, ddof, keepdims, where=is_number)


@composite(numpy=np.nanstd)
def nanstd(x: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    """The standard deviation of the entries over ``axis`` that are not nan; see ``var``."""
    numbers, is_number = _where_number(x, 0)
    return reduction.std(numbers, axis, ddof, keepdims, where=is_number)


@composite(numpy=np.nanmax)
def nanmax(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest of the entries over ``axis`` that are not nan; nan if there is none."""
    return _extreme_number(reduction.max, x, axis, keepdims, -math.inf)


@composite(numpy=np.nanmin)
def nanmin(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The smallest of the entries over ``axis`` that are not nan; nan if there is none."""
    return _extreme_number(reduction.min, x, axis, keepdims, math.inf)


@composite(numpy=np.nanmedian)
def nanmedian(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The median of the entries over ``axis`` that are not nan; nan if there is none."""
    return _quantile("nanmedian", x, 0.5, axis, keepdims, "linear", skip_nan=True)


@composite(numpy=np.nanquantile)
def nanquantile(
    x: Any, q: Any, axis: Any = None, keepdims: bool = False, method: str = "linear"
) -> Any:
    """``quantile`` of the entries that are not nan; nan if there is none."""
    return _quantile("nanquantile", x, q, axis, keepdims, method, skip_nan=True)


@composite(numpy=np.nanpercentile)
def nanpercentile(
    x: Any, q: Any, axis: Any = None, keepdims: bool = False, method: str = "linear"
) -> Any:
    """``percentile`` of the entries that are not nan; nan if there is none."""
    share = np.asarray(constant(q, "nanpercentile", "q")) / 100
    return _quantile("nanpercentile", x, share, axis, keepdims, method, skip_nan=True)


# Covariances


@composite(numpy=np.cov)
def cov(
    x: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: float | None = None
) -> Any:
    """The covariances of variables: ``C = D Dᵀ / (N - ddof)``, D their deviations from the mean.

    Args:
        x: ``(variables, N)``, or N observations of one variable.
        y: further variables, of the same form.
        rowvar: False if x and y are ``(N, variables)``.
        bias: divide by N where ``ddof`` is not given, rather than by N - 1.
        ddof: what is taken from N.

    Returns:
        ``(variables, variables)``; a number for one variable.

    Raises:
        ShapeError: there are not more than ``ddof`` observations, or more than two axes.
    """
    given = [x] if y is None else [x, y]
    if any(np.ndim(plain(part)) > 2 for part in given):
        raise ShapeError("cov takes a vector or a matrix of observations, of one axis or two")
    rows = concatenate([_variables(part, rowvar) for part in given], 0)
    degrees = rows.shape[1] - (1 - bias if ddof is None else ddof)
    if degrees <= 0:
        raise ShapeError(f"cov of {rows.shape[1]} observations cannot divide by {degrees}")
    deviations = rows - reduction.mean(rows, 1, True)
    return squeeze(deviations @ transpose(deviations) / degrees)


@composite(numpy=np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Any:
    """The correlations of variables, ``Cᵢⱼ / √(Cᵢᵢ Cⱼⱼ)``; the arguments are those of ``cov``."""
    covariances = cov(x, y, rowvar)
    if not covariances.ndim:
        return covariances / covariances
    deviations = elementwise.sqrt(diagonal(covariances))
    ratios = covariances / deviations / reshape(deviations, (-1, 1))
    return elementwise.clip(ratios, -1, 1)  # rounding may lead beyond


# What the above need


def _along(weights: Any, x: Any, axis: Any) -> Any:
    """Weights in a shape with as many axes as x, of length 1 except along ``axis``."""
    weights = weights if isinstance(weights, Node) else np.asarray(weights)
    if weights.shape == x.shape:
        return weights
    named = () if axis is None else (axis,) if np.ndim(axis) == 0 else tuple(axis)
    axes = [nonnegative_axis("average", x, a) for a in named]
    lengths = tuple(x.shape[a] for a in axes)
    if weights.shape != lengths or not axes:
        raise ShapeError(
            f"average over axis={axis} of shape {x.shape} takes weights of that shape"
            + (f" or of shape {lengths}" if axes else "")
            + f", not {weights.shape}"
        )
    in_order = transpose(weights, np.argsort(axes).tolist())
    return reshape(in_order, tuple(n if i in axes else 1 for i, n in enumerate(x.shape)))


def _rows(name: str, x: Any, axis: Any) -> Any:
    """x with the entries over ``axis`` in a last axis."""
    named = range(x.ndim) if axis is None else (axis,) if np.ndim(axis) == 0 else axis
    rows = reduction.reduced_last(x, tuple(nonnegative_axis(name, x, a) for a in named))
    if not rows.shape[-1]:
        raise ShapeError(f"{name} over axis={axis} of shape {x.shape}: there are no entries")
    return rows


# What each method takes of the way from the entry below to the one above.
_SHARES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "linear": lambda place, below, above: place - below,
    "lower": lambda place, below, above: 0.0 * below,
    "higher": lambda place, below, above: above - below,
    "midpoint": lambda place, below, above: (above - below) / 2,
    "nearest": lambda place, below, above: np.rint(place) - below,
}


def _quantile(
    name: str, x: Any, q: Any, axis: Any, keepdims: bool, method: str, skip_nan: bool = False
) -> Any:
    shares = np.asarray(constant(q, name, "q"), dtype=float)
    if not np.all((shares >= 0) & (shares <= 1)):
        raise OperandError(
            f"{name} takes q in {'[0, 100]' if 'percentile' in name else '[0, 1]'}, not {q!r:.60}"
        )
    if method not in _SHARES:
        raise UnknownNameError(f"method of {name}", method, _SHARES)
    rows = _rows(name, x, axis)
    ascending = sort(rows, -1)  # nan comes last
    is_nan = np.isnan(plain(ascending))
    count = np.sum(~is_nan, -1, keepdims=True) if skip_nan else np.full(1, rows.shape[-1])
    place = np.broadcast_to(
        shares.ravel() * np.maximum(count - 1, 0), (*rows.shape[:-1], shares.size)
    )
    below, above = np.floor(place), np.ceil(place)
    low, high = (take_along_axis(ascending, i.astype(int), -1) for i in (below, above))
    share = _SHARES[method](place, below, above).astype(np.result_type(x.dtype, 0.0))
    result = low + (high - low) * share
    if not skip_nan:
        result = elementwise.where(is_nan[..., -1:], math.nan, result)
    lengths = reduction.kept_shape(x.shape, axis) if keepdims else rows.shape[:-1]
    return reshape(moveaxis(result, -1, 0), (*shares.shape, *lengths))


def _where_number(x: Any, stand_in: float) -> tuple[Any, Any]:
    """x with a number in the place of nan, and where it was no nan."""
    is_number = ~np.isnan(plain(x))
    return elementwise.where(is_number, x, stand_in), is_number


def _extreme_number(extreme: Any, x: Any, axis: Any, keepdims: bool, neutral: float) -> Any:
    if x.dtype.kind != "f":  # no nan, and no infinity to begin with
        return extreme(x, axis, keepdims)
    is_number = ~np.isnan(plain(x))
    result = extreme(x, axis, keepdims, initial=neutral, where=is_number)
    any_number = np.any(is_number, axis, keepdims=keepdims)
    return elementwise.where(any_number, result, math.nan)


def _variables(x: Any, rowvar: bool) -> Any:
    rows = atleast_2d(x)
    return rows if rowvar or np.ndim(plain(x)) == 1 else transpose(rows)
