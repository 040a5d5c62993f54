"""Ops that move numbers and change none: reshape, transpose, flip, repeat, pad, sort and the like.

Those that others are put together from are ops with a rule; the others are plain functions.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from itertools import chain
from typing import Any, cast

import numpy as np

from tinygrad_edu.errors import GradientLostError, ShapeError, UnknownNameError
from tinygrad_edu.graph import Node, plain
from tinygrad_edu.ops.declare import composite, primitive
from tinygrad_edu.ops.indexing import nonnegative_axis, scatter, take_along_axis

# The same entries in another shape


def _reshape_rule(g: Any, y: Any, x: Any, shape: Any, order: str) -> Any:
    return reshape(g, x.shape, order)


@primitive(_reshape_rule, numpy=np.reshape)
def reshape(x: Any, shape: Any, order: str = "C") -> Any:
    """x with another shape of the same size; one length may be -1.

    Args:
        x: the array.
        shape: the lengths, or one length.
        order: "C" reads and writes the last axis fastest, "F" the first.
    """
    _check_order("reshape", order)
    return np.reshape(x, shape, order=cast(Any, order))


@composite(numpy=np.ravel)
def ravel(x: Any, order: str = "C") -> Any:
    """x laid out in one axis, the last axis fastest, or the first for ``order="F"``."""
    return reshape(x, (math.prod(x.shape),), order)


@primitive(lambda g, y, x, axis: reshape(g, x.shape), numpy=np.expand_dims)
def expand_dims(x: Any, axis: Any) -> Any:
    """x with new axes of length 1, which stand at ``axis`` (an int or a tuple) in the result."""
    return np.expand_dims(x, axis)


@primitive(lambda g, y, x, axis: reshape(g, x.shape), numpy=np.squeeze)
def squeeze(x: Any, axis: Any = None) -> Any:
    """x without its axes of length 1, or without those named.

    Raises:
        ShapeError: an axis that ``axis`` names is not of length 1.
    """
    return np.squeeze(x, axis)


@composite(numpy=np.atleast_1d)
def atleast_1d(*arrays: Any) -> Any:
    """The array, or a tuple of the arrays, with a number as a vector of length 1."""
    return _one_or_all(x if x.ndim else reshape(x, (1,)) for x in map(as_array, arrays))


@composite(numpy=np.atleast_2d)
def atleast_2d(*arrays: Any) -> Any:
    """The array, or a tuple of the arrays, with a vector as one row."""
    return _one_or_all(
        x if x.ndim > 1 else reshape(x, (1, math.prod(x.shape))) for x in map(as_array, arrays)
    )


@composite(numpy=np.atleast_3d)
def atleast_3d(*arrays: Any) -> Any:
    """The array, or a tuple of the arrays: a vector as (1, N, 1), a matrix as (M, N, 1)."""
    return _one_or_all(
        x if x.ndim > 2 else reshape(x, (*(1, *x.shape)[-2:], 1) if x.ndim else (1, 1, 1))
        for x in map(as_array, arrays)
    )


# Axes in another order


def _transpose_rule(g: Any, y: Any, x: Any, axes: Any) -> Any:
    if axes is None:
        return transpose(g)
    return transpose(g, tuple(np.argsort([a % x.ndim for a in np.atleast_1d(axes)]).tolist()))


@primitive(_transpose_rule, symbol="T", numpy=np.transpose)
def transpose(x: Any, axes: Any = None) -> Any:
    """x with its axes permuted; reversed if ``axes`` is None."""
    return np.transpose(x, axes)


permute_dims = transpose


def _swapaxes_rule(g: Any, y: Any, x: Any, axis1: int, axis2: int) -> Any:
    return swapaxes(g, axis1, axis2)


@primitive(_swapaxes_rule, symbol="T", numpy=np.swapaxes)
def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """x with two axes in each other's place."""
    return np.swapaxes(x, axis1, axis2)


def _moveaxis_rule(g: Any, y: Any, x: Any, source: Any, destination: Any) -> Any:
    return moveaxis(g, destination, source)


@primitive(_moveaxis_rule, symbol="T", numpy=np.moveaxis)
def moveaxis(x: Any, source: Any, destination: Any) -> Any:
    """x with the axes ``source`` at ``destination``, the others staying in order."""
    return np.moveaxis(x, source, destination)


@composite(numpy=np.rollaxis)
def rollaxis(x: Any, axis: int, start: int = 0) -> Any:
    """x with ``axis`` moved to stand before the axis ``start``."""
    axis = nonnegative_axis("rollaxis", x, axis)
    if start != x.ndim:
        start = nonnegative_axis("rollaxis", x, start)
    return moveaxis(x, axis, start - (axis < start))


@composite(numpy=np.matrix_transpose)
def matrix_transpose(x: Any) -> Any:
    """The last two axes swapped: a matrix, or a stack of them, transposed."""
    if x.ndim < 2:
        raise ShapeError(f"matrix_transpose needs two axes; shape {x.shape} has {x.ndim}")
    return swapaxes(x, -2, -1)


# Entries in another order


def _flip_rule(g: Any, y: Any, x: Any, axis: Any) -> Any:
    return flip(g, axis)


@primitive(_flip_rule, numpy=np.flip)
def flip(x: Any, axis: Any = None) -> Any:
    """x with the entries in reverse along ``axis``: an int, a tuple, or None for all axes."""
    return np.flip(x, axis)


@composite(numpy=np.fliplr)
def fliplr(x: Any) -> Any:
    """x with the entries in reverse along the second axis."""
    if x.ndim < 2:
        raise ShapeError(f"fliplr needs two axes; shape {x.shape} has {x.ndim}: use flip")
    return flip(x, 1)


@composite(numpy=np.flipud)
def flipud(x: Any) -> Any:
    """x with the entries in reverse along the first axis."""
    if x.ndim < 1:
        raise ShapeError("flipud needs an axis; a number has none")
    return flip(x, 0)


def _roll_rule(g: Any, y: Any, x: Any, shift: Any, axis: Any) -> Any:
    return roll(g, np.negative(shift).tolist(), axis)


@primitive(_roll_rule, numpy=np.roll)
def roll(x: Any, shift: Any, axis: Any = None) -> Any:
    """x with the entries moved on by ``shift``, those at the end coming in at the start.

    Args:
        x: the array.
        shift: how many places, or how many for each of the axes.
        axis: an int, a tuple, or None for x laid out flat.
    """
    return np.roll(x, shift, axis)


@composite(numpy=np.rot90)
def rot90(x: Any, k: int = 1, axes: Sequence[int] = (0, 1)) -> Any:
    """x rotated by 90 degrees, k times, from the first of two axes towards the second."""
    if len(axes) != 2:
        raise ShapeError(f"rot90 rotates in a plane of two axes, not of axes={axes!r}")
    first, second = (nonnegative_axis("rot90", x, axis) for axis in axes)
    if first == second:
        raise ShapeError(f"rot90 rotates in a plane of two axes; axes={axes!r} are the same one")
    turns = k % 4
    if turns == 1:
        return swapaxes(flip(x, second), first, second)
    if turns == 3:
        return flip(swapaxes(x, first, second), second)
    return flip(x, (first, second)) if turns == 2 else x


@composite(numpy=np.sort)
def sort(
    x: Any, axis: int | None = -1, kind: str | None = None, *, stable: bool | None = None
) -> Any:
    """x in ascending order along ``axis``, nan last; x laid out flat for None.

    Entries that tie stay in order, as does the gradient that each of them gets.

    Args:
        x: the array.
        axis: the axis to sort along.
        kind: taken for NumPy's sake: the sort is stable, whichever is asked for.
        stable: likewise.
    """
    if axis is None:
        x, axis = ravel(x), 0
    axis = nonnegative_axis("sort", x, axis)
    return take_along_axis(x, np.argsort(plain(x), axis=axis, kind="stable"), axis)


@composite(numpy=np.partition)
def partition(x: Any, kth: Any, axis: int | None = -1) -> Any:
    """x with the entry ``kth`` where sorting would put it, no larger ones before it.

    Args:
        x: the array.
        kth: an index, or several.
        axis: the axis to partition along; None for x laid out flat.

    Raises:
        ShapeError: ``kth`` is out of range.
    """
    if axis is None:
        x, axis = ravel(x), 0
    axis = nonnegative_axis("partition", x, axis)
    try:
        places = np.argpartition(plain(x), kth, axis=axis)
    except ValueError as error:
        raise ShapeError(f"partition cannot take shape {x.shape} along {axis}: {error}") from error
    return take_along_axis(x, places, axis)


# Entries repeated


# The traversal undoes every broadcast, this one too.
@primitive(lambda g, y, x, shape: g, numpy=np.broadcast_to)
def broadcast_to(x: Any, shape: Any) -> Any:
    """x repeated along new axes and axes of length 1, as a read-only view."""
    return np.broadcast_to(x, shape)


@composite(numpy=np.broadcast_arrays)
def broadcast_arrays(*arrays: Any) -> tuple[Any, ...]:
    """The arrays, each repeated to the shape that they broadcast to together."""
    shapes = [np.shape(x) for x in arrays]
    try:
        common = np.broadcast_shapes(*shapes)
    except ValueError as error:
        raise ShapeError(
            f"broadcast_arrays cannot take shapes {', '.join(map(str, shapes))}: from the right,"
            " lengths must be equal or one of them 1"
        ) from error
    return tuple(broadcast_to(as_array(x), common) for x in arrays)


@composite(numpy=np.meshgrid)
def meshgrid(
    *xi: Any, indexing: str = "xy", sparse: bool = False, copy: bool = True
) -> tuple[Any, ...]:
    """The coordinates of a grid, an array for each axis, from the vectors along its axes.

    Args:
        *xi: vectors, of lengths N, M, P, ...
        indexing: "ij" for grids of shape ``(N, M, P, ...)``, "xy" for ``(M, N, P, ...)``.
        sparse: leave each grid at length 1 along the axes that it does not change along.
        copy: taken for NumPy's sake: a grid never shares memory that can be written to.
    """
    if indexing not in ("xy", "ij"):
        raise UnknownNameError("indexing of meshgrid", indexing, ["xy", "ij"])
    order = list(range(len(xi)))
    if indexing == "xy":
        order[:2] = order[:2][::-1]
    columns = [
        reshape(x, tuple(math.prod(x.shape) if j == order[i] else 1 for j in range(len(xi))))
        for i, x in enumerate(map(as_array, xi))
    ]
    return tuple(columns) if sparse else broadcast_arrays(*columns)


@composite(numpy=np.tile)
def tile(x: Any, reps: Any) -> Any:
    """x repeated as a whole, ``reps`` times along each axis; a number counts for the last."""
    x = as_array(x)
    counts = tuple(np.atleast_1d(reps).tolist())
    lengths = (1,) * (len(counts) - x.ndim) + x.shape
    counts = (1,) * (x.ndim - len(counts)) + counts
    # Each axis becomes two: which copy, and where in it.
    apart = reshape(x, tuple(chain.from_iterable((1, n) for n in lengths)))
    copies = broadcast_to(apart, tuple(chain.from_iterable(zip(counts, lengths, strict=True))))
    return reshape(copies, tuple(r * n for r, n in zip(counts, lengths, strict=True)))


def _repeat_rule(g: Any, y: Any, x: Any, repeats: Any, axis: Any) -> Any:
    lengths = (math.prod(x.shape),) if axis is None else x.shape
    at = 0 if axis is None else axis % x.ndim
    before, n, after = lengths[:at], lengths[at], lengths[at + 1 :]
    if np.size(repeats) == 1:  # as often for every entry: the copies stand in an axis of their own
        g = g.reshape((*before, n, int(np.sum(repeats)), *after)).sum(at + 1)
    else:
        places = np.repeat(np.arange(n), repeats)
        g = scatter(g, lengths, (*(slice(None),) * at, places))
    return reshape(g, x.shape)


@primitive(_repeat_rule, numpy=np.repeat)
def repeat(x: Any, repeats: Any, axis: Any = None) -> Any:
    """x with each entry repeated, the copies side by side.

    Args:
        x: the array.
        repeats: how often, an int; or an int for every place along ``axis``.
        axis: the axis to repeat along; None for x laid out flat.
    """
    return np.repeat(x, repeats, axis)


# Borders


_PADDINGS = ("constant", "edge", "reflect", "symmetric", "wrap")


def _widths(pad_width: Any, ndim: int) -> list[tuple[int, int]]:
    """How many entries to add before and after, for each axis."""
    if isinstance(pad_width, dict):
        pairs = np.zeros((ndim, 2), dtype=int)
        for axis, width in pad_width.items():
            pairs[axis] = width
    else:
        pairs = np.broadcast_to(pad_width, (ndim, 2))
    return [(before, after) for before, after in pairs.tolist()]


def _pad_rule(g: Any, y: Any, x: Any, pad_width: Any, mode: str, constant_values: Any) -> Any:
    for axis, (before, after) in enumerate(_widths(pad_width, x.ndim)):
        n, ahead = x.shape[axis], (slice(None),) * axis
        if mode == "constant":
            g = g[(*ahead, slice(before, before + n))]
        else:  # which entry each one is a copy of, is found by padding the places themselves
            copied = np.pad(np.arange(n), (before, after), cast(Any, mode))
            g = scatter(g, (*g.shape[:axis], n, *g.shape[axis + 1 :]), (*ahead, copied))
    return g


@primitive(_pad_rule, numpy=np.pad)
def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    """x with a border.

    Args:
        x: the array.
        pad_width: how many entries to add on every side; or ``(before, after)`` for every axis;
            or such a pair for each axis; or a dict of them by axis.
        mode: "constant" fills with ``constant_values``, "edge" repeats the outermost entries,
            "reflect" mirrors at their centres and "symmetric" behind them, "wrap" continues with
            the other end.
        constant_values: a number, or numbers as in ``pad_width``; constants.

    Raises:
        UnknownNameError: the mode is another one.
        ShapeError: ``pad_width`` does not fit the axes, or there is nothing to repeat.
    """
    if mode not in _PADDINGS:
        raise UnknownNameError("mode of pad", mode, _PADDINGS)
    widths, kind = _widths(pad_width, x.ndim), cast(Any, mode)
    if mode == "constant":
        return np.pad(x, widths, kind, constant_values=constant_values)
    return np.pad(x, widths, kind)


# Diagonals and triangles


def _on_diagonal(offset: int, rows: int, columns: int) -> tuple[Any, Any]:
    """The row and the column of each entry of a diagonal of a matrix."""
    first = builtins.max(-offset, 0)
    places = np.arange(first, builtins.max(builtins.min(rows, columns - offset), first))
    return places, places + offset


def _diagonal_rule(g: Any, y: Any, x: Any, offset: int, axis1: int, axis2: int) -> Any:
    rows, columns = x.shape[axis1], x.shape[axis2]
    stacked = scatter(
        g, (*g.shape[:-1], rows, columns), (..., *_on_diagonal(offset, rows, columns))
    )
    return moveaxis(stacked, (-2, -1), (axis1, axis2))


@primitive(_diagonal_rule, numpy=np.diagonal)
def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The diagonal of the matrices over two axes, in a new last axis, as a read-only view.

    Args:
        x: the array.
        offset: how far right of the main diagonal; negative for below it.
        axis1: the axis of the rows.
        axis2: the axis of the columns.
    """
    return np.diagonal(x, offset, axis1, axis2)


@composite(numpy=np.diag)
def diag(x: Any, k: int = 0) -> Any:
    """The k-th diagonal of a matrix; or of a vector, the matrix that has it there, else zeros.

    Raises:
        ShapeError: x has neither one axis nor two.
    """
    x = as_array(x)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ShapeError(f"diag takes a vector or a matrix, not shape {x.shape}: use diagonal")
    n = x.shape[0] + builtins.abs(k)
    return scatter(x, (n, n), _on_diagonal(k, n, n))


@composite(numpy=np.diagflat)
def diagflat(x: Any, k: int = 0) -> Any:
    """The matrix with x, laid out flat, on its k-th diagonal."""
    return diag(ravel(as_array(x)), k)


@composite(numpy=np.trace)
def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The sum of a diagonal, as of ``diagonal``."""
    return diagonal(x, offset, axis1, axis2).sum(-1)


def _tril_rule(g: Any, y: Any, x: Any, k: int) -> Any:
    return tril(g, k)


@primitive(_tril_rule, numpy=np.tril)
def tril(x: Any, k: int = 0) -> Any:
    """The lower triangle of the matrices over the last two axes: zeros above the k-th diagonal."""
    return np.tril(x, k)


def _triu_rule(g: Any, y: Any, x: Any, k: int) -> Any:
    return triu(g, k)


@primitive(_triu_rule, numpy=np.triu)
def triu(x: Any, k: int = 0) -> Any:
    """The upper triangle of the matrices over the last two axes: zeros below the k-th diagonal."""
    return np.triu(x, k)


# Conversions, copies, and constants of the same shape


# The gradient goes back in the input's dtype, which the traversal sees to.
@primitive(lambda g, y, x, dtype: g, numpy=getattr(np, "astype", None))  # since NumPy 2.1
def astype(x: Any, dtype: Any) -> Any:
    """x converted to another dtype."""
    return x.astype(dtype)


@primitive(lambda g, y, x: g, numpy=np.copy)
def copy(x: Any) -> Any:
    """x in memory of its own."""
    return np.array(x)


@composite(numpy=np.full_like)
def full_like(x: Any, fill_value: Any, dtype: Any = None, *, shape: Any = None) -> Any:
    """A constant with the kind, shape and dtype of x, and ``fill_value`` everywhere.

    Raises:
        GradientLostError: ``fill_value`` requires a gradient; ``broadcast_to`` passes it on.
    """
    if getattr(fill_value, "requires_grad", False):
        raise GradientLostError(
            "no gradient flows to the fill_value of full_like: use broadcast_to(fill_value, shape),"
            " or call .detach() on it first"
        )
    return _of_kind(x, np.full_like(plain(x), plain(fill_value), dtype, shape=shape))


@composite(numpy=np.zeros_like)
def zeros_like(x: Any, dtype: Any = None, *, shape: Any = None) -> Any:
    """A constant with the kind, shape and dtype of x, and 0 everywhere."""
    return _of_kind(x, np.zeros_like(plain(x), dtype, shape=shape))


@composite(numpy=np.ones_like)
def ones_like(x: Any, dtype: Any = None, *, shape: Any = None) -> Any:
    """A constant with the kind, shape and dtype of x, and 1 everywhere."""
    return _of_kind(x, np.ones_like(plain(x), dtype, shape=shape))


@composite(numpy=np.empty_like)
def empty_like(x: Any, dtype: Any = None, *, shape: Any = None) -> Any:
    """A constant with the kind, shape and dtype of x, and any numbers."""
    return _of_kind(x, np.empty_like(plain(x), dtype, shape=shape))


# What NumPy says of an array, said of a Tensor: plain numbers


@composite(numpy=np.shape)
def shape(x: Any) -> tuple[int, ...]:
    """The length of each axis."""
    return np.shape(plain(x))


@composite(numpy=np.ndim)
def ndim(x: Any) -> int:
    """The number of axes."""
    return np.ndim(plain(x))


@composite(numpy=np.size)
def size(x: Any, axis: Any = None) -> int:
    """The number of entries, or how many there are along ``axis``."""
    return np.size(plain(x), axis)


# What the above need


def as_array(x: Any, dtype: Any = None) -> Any:
    """x as something with a shape: lists and numbers become arrays, of the given dtype."""
    return x if isinstance(x, Node | np.ndarray) else np.asarray(x, dtype=dtype)


def _of_kind(x: Any, data: Any) -> Any:
    """A node of x's kind with these data, or the data where x is no node."""
    return x.constant(data) if isinstance(x, Node) else data


def _one_or_all(arrays: Any) -> Any:
    found = tuple(arrays)
    return found[0] if len(found) == 1 else found


def _check_order(name: str, order: str) -> None:
    # "A" and "K" depend on how an array lies in memory, where its gradient may lie otherwise.
    if order not in ("C", "F"):
        raise UnknownNameError(f"order of {name}", order, ["C", "F"])
