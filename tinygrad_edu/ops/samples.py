"""Functions of samples: differences and slopes, areas, convolution, interpolation, polynomials."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from tinygrad_edu.errors import OperandError, ShapeError, UnknownNameError
from tinygrad_edu.graph import plain
from tinygrad_edu.ops import elementwise
from tinygrad_edu.ops.convolution import conv1d
from tinygrad_edu.ops.declare import composite
from tinygrad_edu.ops.indexing import getitem, nonnegative_axis
from tinygrad_edu.ops.joining import concatenate
from tinygrad_edu.ops.reduction import sum
from tinygrad_edu.ops.shape import (
    as_array,
    broadcast_to,
    expand_dims,
    flip,
    moveaxis,
    ravel,
    reshape,
)

# Differences


@composite(numpy=np.diff)
def diff(x: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Each entry minus the one before it along ``axis``, n times over.

    Args:
        x: the array.
        n: how often.
        axis: the axis, which gets shorter by n.
        prepend: what to put before x first: an array, or a number for one entry.
        append: what to put after x first.

    Raises:
        ShapeError: n is negative.
    """
    x = as_array(x)
    axis = nonnegative_axis("diff", x, axis)
    if n < 0:
        raise ShapeError(f"diff takes differences n=0 times or more, not {n}")
    one = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    ends = [
        p if p is None or np.ndim(p) else broadcast_to(as_array(p), one) for p in (prepend, append)
    ]
    if n and any(p is not None for p in ends):
        parts = (ends[0], x, ends[1])
        x = concatenate([as_array(p) for p in parts if p is not None], axis)
    ahead = (slice(None),) * axis
    for _ in range(n):
        x = getitem(x, (*ahead, slice(1, None))) - getitem(x, (*ahead, slice(None, -1)))
    return x


@composite(numpy=np.gradient)
def gradient(x: Any, *spacings: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """The slope of samples x by differences: ``np.gradient``, not backpropagation.

    Args:
        x: the samples.
        *spacings: the distance between samples, or their coordinates, constants; one for all axes
            or one for each.
        axis: an int, a tuple, or None for all.
        edge_order: at the edges, 1 for the slope to the neighbour, 2 for that of a parabola.

    Returns:
        An array in the shape of x; for several axes a tuple of them.

    Raises:
        ShapeError: an axis is too short, or the spacings don't fit the axes.
        OperandError: ``edge_order`` is neither 1 nor 2.
    """
    named = range(x.ndim) if axis is None else (axis,) if np.ndim(axis) == 0 else axis
    axes = [nonnegative_axis("gradient", x, a) for a in named]
    if edge_order not in (1, 2):
        raise OperandError(f"gradient takes edge_order=1 or 2, not {edge_order!r}")
    steps = [plain(step) for step in spacings] or [1.0]
    if len(steps) == 1:
        steps *= len(axes)
    if len(steps) != len(axes):
        raise ShapeError(f"gradient over {len(axes)} axes takes as many spacings, not {len(steps)}")
    slopes = [_slope(x, a, step, edge_order) for a, step in zip(axes, steps, strict=True)]
    return slopes[0] if len(slopes) == 1 else tuple(slopes)


def _slope(x: Any, axis: int, spacing: Any, edge_order: int) -> Any:
    """At each sample along ``axis``, the slope of the parabola through it and its neighbours."""
    n = x.shape[axis]
    if n <= edge_order or np.shape(spacing) not in ((), (n,)):
        raise ShapeError(
            f"gradient along axis {axis} of shape {x.shape} takes {edge_order + 1} samples or more,"
            " and a spacing or a coordinate for each of them"
        )
    h = np.diff(spacing) if np.ndim(spacing) else np.full(n - 1, spacing)
    h = h.astype(np.result_type(x.dtype, 0.0))
    secants = diff(moveaxis(x, axis, -1)) / h
    first, last = secants[..., :1], secants[..., -1:]
    before, after = h[:-1], h[1:]
    inner = (secants[..., :-1] * after + secants[..., 1:] * before) / (before + after)
    if edge_order == 2:  # the slope of a parabola changes evenly from one sample to the next
        first, last = 2 * first - inner[..., :1], 2 * last - inner[..., -1:]
    return moveaxis(concatenate([first, inner, last], -1), -1, axis)


@composite(numpy=np.ediff1d)
def ediff1d(x: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """The differences of x laid out flat, between ``to_begin`` and ``to_end`` if given."""
    x = ravel(as_array(x))
    parts = (to_begin, diff(x), to_end)
    return concatenate([ravel(as_array(part, x.dtype)) for part in parts if part is not None])


@composite(numpy=np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """The area under samples y joined by straight lines, ``Σ (yᵢ + yᵢ₊₁) (xᵢ₊₁ - xᵢ) / 2``.

    Args:
        y: the samples.
        x: where they were taken: a vector along ``axis``, or of the shape of y; differentiable.
        dx: the distance between samples where x is not given.
        axis: the axis to add up along.
    """
    y = as_array(y)
    y = moveaxis(y, nonnegative_axis("trapezoid", y, axis), -1)
    if x is not None:
        x = as_array(x, y.dtype)
        dx = diff(x if x.ndim == 1 else moveaxis(x, axis, -1))
    return sum((y[..., :-1] + y[..., 1:]) * dx, -1) / 2


# Convolution


@composite(numpy=np.convolve)
def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    """``yₙ = Σₖ aₖ vₙ₋ₖ`` of two vectors: the product of polynomials. ``conv1d`` is for layers.

    Args:
        a: a vector of length N.
        v: a vector of length M.
        mode: "full" for all N + M - 1 entries, "same" for the middle max(N, M), "valid" for those
            where the vectors overlap entirely.

    Raises:
        UnknownNameError: the mode is another one.
        ShapeError: these are not two vectors with entries.
    """
    a, v = _together(a, v)
    if a.ndim != 1 or v.ndim != 1 or not a.shape[0] or not v.shape[0]:
        raise ShapeError(f"convolve takes two vectors, not shapes {a.shape} and {v.shape}")
    if v.shape[0] > a.shape[0]:
        a, v = v, a
    n, m = a.shape[0], v.shape[0]
    first_and_length = {
        "full": (0, n + m - 1),
        "same": ((m - 1) // 2, n),
        "valid": (m - 1, n - m + 1),
    }
    if mode not in first_and_length:
        raise UnknownNameError("mode of convolve", mode, first_and_length)
    first, length = first_and_length[mode]
    full = conv1d(reshape(a, (1, 1, n)), reshape(flip(v), (1, 1, m)), padding=m - 1)
    return getitem(full, (0, 0, slice(first, first + length)))


# Functions given by samples or coefficients


@composite(numpy=np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None) -> Any:
    """The function through the points ``(xp, fp)``, joined by straight lines, at x.

    Differentiable by x, xp and fp. At a point, the slope by x is that of the line to its right.

    Args:
        x: any shape.
        xp: the abscissas of the points, a vector that ascends.
        fp: their ordinates.
        left: the value below ``xp[0]``; ``fp[0]`` if None.
        right: the value above ``xp[-1]``; ``fp[-1]`` if None.

    Raises:
        ShapeError: ``xp`` and ``fp`` are not two vectors of one length.
    """
    x, xp, fp = _together(x, xp, fp)
    n = math.prod(xp.shape)
    if xp.shape != (n,) or fp.shape != (n,) or not n:
        raise ShapeError(
            f"interp takes points as two vectors of one length, not {xp.shape} and {fp.shape}"
        )
    left, right = (fp[0] if left is None else left), (fp[-1] if right is None else right)
    after = np.clip(np.searchsorted(plain(xp), plain(x), "right"), 1, builtins.max(n - 1, 1)) % n
    before = after - 1
    run = xp[after] - xp[before]
    share = (x - xp[before]) / (run + (plain(run) == 0))
    inside = fp[before] + share * (fp[after] - fp[before])
    within = elementwise.where(plain(x) < plain(xp)[0], left, inside)
    return elementwise.where(plain(x) > plain(xp)[-1], right, within)


@composite(numpy=np.polyval)
def polyval(p: Any, x: Any) -> Any:
    """The polynomial with the coefficients p, that of the highest power first, at x."""
    p, x = _together(p, x)
    if p.ndim != 1 or not p.shape[0]:
        raise ShapeError(f"polyval takes a vector of coefficients, not shape {p.shape}")
    y = broadcast_to(p[0], x.shape)
    for i in range(1, p.shape[0]):  # Horner's scheme
        y = y * x + p[i]
    return y


@composite(numpy=np.vander)
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:  # noqa: N803
    """The matrix whose columns are powers of the vector x, the highest first.

    Args:
        x: a vector.
        N: how many powers; as many as x has entries if None.
        increasing: the highest last.
    """
    x = as_array(x)
    if x.ndim != 1:
        raise ShapeError(f"vander takes a vector, not shape {x.shape}")
    exponents = np.arange(x.shape[0] if N is None else N, dtype=x.dtype)
    return expand_dims(x, 1) ** (exponents if increasing else exponents[::-1])


@composite(numpy=np.linspace)
def linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, axis: int = 0) -> Any:
    """Numbers with even distances from ``start`` to ``stop``, differentiable by both.

    Args:
        start: the first number, or an array of them.
        stop: the last one.
        num: how many.
        endpoint: whether ``stop`` itself is the last, rather than what would come next.
        axis: where their axis stands in the result.
    """
    start, stop = _together(start, stop)
    dtype = np.result_type(start.dtype, stop.dtype, 0.0)
    ndim = builtins.max(start.ndim, stop.ndim)
    share = np.linspace(0, 1, num, endpoint, dtype=dtype).reshape((num,) + (1,) * ndim)
    return moveaxis(start * (1 - share) + stop * share, 0, axis)


# What the above need


def _together(*arrays: Any) -> list[Any]:
    """The arguments as arrays; Python numbers and lists take the dtype of the others."""
    dtypes = [x.dtype for x in arrays if hasattr(x, "dtype")]
    dtype = np.result_type(*dtypes, 0.0) if dtypes else None
    return [as_array(x, dtype) for x in arrays]
