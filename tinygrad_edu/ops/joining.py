"""Ops that put arrays together and take them apart: concatenate, stack, block, insert, split."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tinygrad_edu.errors import IndexingError, ShapeError
from tinygrad_edu.ops.declare import composite, primitive
from tinygrad_edu.ops.indexing import getitem, nonnegative_axis, take
from tinygrad_edu.ops.shape import (
    as_array,
    atleast_1d,
    atleast_2d,
    atleast_3d,
    broadcast_to,
    expand_dims,
    moveaxis,
    ravel,
    reshape,
)

# Arrays put together


def _concatenate_rule(g: Any, y: Any, *arrays: Any, axis: Any, i: int) -> Any:
    start = builtins.sum(np.size(a, axis) for a in arrays[:i])
    stop = start + np.size(arrays[i], axis)
    if axis is None:
        return g[start:stop].reshape(arrays[i].shape)
    return g[(slice(None),) * (axis % g.ndim) + (slice(start, stop),)]


@primitive(_concatenate_rule, variadic=True, numpy=np.concatenate)
def concatenate(*arrays: Any, axis: int | None = 0) -> Any:
    """The arrays of a sequence one after the other along ``axis``; None for all laid out flat."""
    return np.concatenate(arrays, axis=axis)


@composite(numpy=np.append)
def append(x: Any, values: Any, axis: int | None = None) -> Any:
    """x with ``values`` after it along ``axis``; both laid out flat for None."""
    return concatenate((as_array(x), as_array(values)), axis)


@primitive(
    lambda g, y, *arrays, axis, i: g[(slice(None),) * (axis % g.ndim) + (i,)],
    variadic=True,
    numpy=np.stack,
)
def stack(*arrays: Any, axis: int = 0) -> Any:
    """The arrays of a sequence, all of one shape, along a new ``axis``."""
    return np.stack(arrays, axis=axis)


@composite(numpy=np.hstack)
def hstack(arrays: Sequence[Any]) -> Any:
    """The arrays side by side: vectors along their only axis, others along the second."""
    parts = [atleast_1d(x) for x in arrays]
    return concatenate(parts, 0 if parts and parts[0].ndim == 1 else 1)


@composite(numpy=np.vstack)
def vstack(arrays: Sequence[Any]) -> Any:
    """The arrays one below the other along the first axis; a vector is one row."""
    return concatenate([atleast_2d(x) for x in arrays], 0)


@composite(numpy=np.dstack)
def dstack(arrays: Sequence[Any]) -> Any:
    """The arrays one behind the other along the third axis, each ``atleast_3d``."""
    return concatenate([atleast_3d(x) for x in arrays], 2)


@composite(numpy=np.column_stack)
def column_stack(arrays: Sequence[Any]) -> Any:
    """The arrays side by side along the second axis; a vector is one column."""
    parts = [atleast_1d(x) for x in arrays]
    return concatenate([x if x.ndim > 1 else expand_dims(x, 1) for x in parts], 1)


@composite(numpy=np.block)
def block(arrays: Any) -> Any:
    """An array from nested lists of its blocks; those of the innermost lists stand side by side.

    Args:
        arrays: an array, or a list of what this may be, equally deep everywhere.

    Raises:
        ShapeError: the lists differ in depth, one of them is empty, or the blocks do not fit.
    """
    depth, ndim = _depth(arrays), builtins.max(map(_ndim, _blocks(arrays)), default=0)
    return _joined(arrays, depth, builtins.max(depth, ndim))


def _blocks(arrays: Any) -> list[Any]:
    if not isinstance(arrays, list):
        return [arrays]
    return [part for nested in arrays for part in _blocks(nested)]


def _depth(arrays: Any) -> int:
    """How many lists are around each block."""
    if not isinstance(arrays, list):
        return 0
    depths = {_depth(nested) for nested in arrays}
    if len(depths) != 1:
        raise ShapeError("block takes lists that are not empty and equally deep everywhere")
    return 1 + depths.pop()


def _ndim(x: Any) -> int:
    return len(np.shape(x))


def _joined(arrays: Any, depth: int, ndim: int) -> Any:
    if not depth:
        x = as_array(arrays)
        return reshape(x, (1,) * (ndim - x.ndim) + x.shape)
    return concatenate([_joined(nested, depth - 1, ndim) for nested in arrays], -depth)


@composite(numpy=np.insert)
def insert(x: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    """x with ``values`` put in before the places ``obj``, counted in x; differentiable by both.

    Args:
        x: the array.
        obj: an int, several, a slice, or a mask.
        values: what to put in: along ``axis`` one entry for each place, or for a single place any
            number of them; else they broadcast.
        axis: the axis to insert along; None for x laid out flat.

    Raises:
        IndexingError: a place is out of range.
        ShapeError: the values do not broadcast.
    """
    if axis is None:
        x, axis = ravel(x), 0
    axis = nonnegative_axis("insert", x, axis)
    n = x.shape[axis]
    values = as_array(values, x.dtype)
    values = reshape(values, (1,) * (x.ndim - values.ndim) + values.shape)
    if np.ndim(obj) == 0 and not isinstance(obj, slice):
        values = moveaxis(values, 0, axis)
    places = np.arange(n)[obj] if isinstance(obj, slice) else np.asarray(obj)
    if places.dtype == bool:
        places = np.flatnonzero(places)
    count = values.shape[axis] if places.size == 1 else places.size
    lengths = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    try:
        order = np.insert(np.arange(n), places, np.arange(n, n + count))
    except IndexError as error:
        raise IndexingError(f"insert into shape {x.shape} along {axis}: {error}") from error
    return take(concatenate([x, broadcast_to(values, lengths)], axis), order, axis)


@composite(numpy=np.delete)
def delete(x: Any, obj: Any, axis: int | None = None) -> Any:
    """x without the entries at the places ``obj`` along ``axis``, or of x laid out flat for None.

    Args:
        x: the array.
        obj: an int, several, a slice, or a mask.
        axis: the axis to delete from.

    Raises:
        IndexingError: a place is out of range.
    """
    if axis is None:
        x, axis = ravel(x), 0
    axis = nonnegative_axis("delete", x, axis)
    try:
        left = np.delete(np.arange(x.shape[axis]), obj)
    except (IndexError, ValueError) as error:
        raise IndexingError(f"delete from shape {x.shape} along {axis}: {error}") from error
    return take(x, left, axis)


@composite(numpy=np.apply_along_axis)
def apply_along_axis(func1d: Any, axis: int, x: Any, *args: Any, **kwargs: Any) -> Any:
    """``func1d(row, *args, **kwargs)`` of every row of x along ``axis``, put together again.

    Args:
        func1d: a function of a vector; what it returns takes the place of ``axis``.
        axis: the axis that the rows lie along.
        x: the array.
        *args: further arguments of the function.
        **kwargs: options of the function.

    Raises:
        ShapeError: there are no rows.
    """
    axis = nonnegative_axis("apply_along_axis", x, axis)
    rows = moveaxis(x, axis, -1)
    lengths = rows.shape[:-1]
    if not math.prod(lengths):
        raise ShapeError(f"apply_along_axis over axis={axis} of shape {x.shape}: no rows")
    rows = reshape(rows, (math.prod(lengths), rows.shape[-1]))
    results = stack([as_array(func1d(row, *args, **kwargs)) for row in rows])
    inner = results.shape[1:]
    ahead = tuple(range(len(lengths), len(lengths) + len(inner)))
    places = tuple(range(axis, axis + len(inner)))
    return moveaxis(reshape(results, (*lengths, *inner)), ahead, places)


# Arrays taken apart


@composite(numpy=np.array_split)
def array_split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """x in parts along ``axis``: so many, almost equal, or cut at the given places.

    Raises:
        ShapeError: fewer than one part was asked for.
    """
    axis = nonnegative_axis("array_split", x, axis)
    n = x.shape[axis]
    if np.ndim(indices_or_sections):
        cuts = [0, *indices_or_sections, n]
    else:
        sections = int(indices_or_sections)
        if sections < 1:
            raise ShapeError(f"array_split makes one part or more, not {sections}")
        size, longer = divmod(n, sections)  # so many parts have an entry more
        cuts = [i * size + builtins.min(i, longer) for i in range(sections + 1)]
    ahead = (slice(None),) * axis
    return [getitem(x, (*ahead, slice(start, stop))) for start, stop in pairwise(cuts)]


@composite(numpy=np.split)
def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """x in parts along ``axis``: so many equal ones, or cut at the given places.

    Raises:
        ShapeError: the axis cannot be cut into so many equal parts.
    """
    axis = nonnegative_axis("split", x, axis)
    sections, n = indices_or_sections, x.shape[axis]
    if not np.ndim(sections) and (sections < 1 or n % sections):
        raise ShapeError(
            f"split cannot cut {n} entries along axis {axis} into {sections} equal parts;"
            " array_split makes parts that differ by one"
        )
    return array_split(x, sections, axis)


@composite(numpy=np.hsplit)
def hsplit(x: Any, indices_or_sections: Any) -> list[Any]:
    """``split`` along the second axis, or the only one."""
    return split(x, indices_or_sections, 1 if x.ndim > 1 else 0)


@composite(numpy=np.vsplit)
def vsplit(x: Any, indices_or_sections: Any) -> list[Any]:
    """``split`` along the first axis of two or more."""
    if x.ndim < 2:
        raise ShapeError(f"vsplit needs two axes; shape {x.shape} has {x.ndim}: use split")
    return split(x, indices_or_sections, 0)


@composite(numpy=np.dsplit)
def dsplit(x: Any, indices_or_sections: Any) -> list[Any]:
    """``split`` along the third axis."""
    if x.ndim < 3:
        raise ShapeError(f"dsplit needs three axes; shape {x.shape} has {x.ndim}: use split")
    return split(x, indices_or_sections, 2)


@composite(numpy=getattr(np, "unstack", None))  # since NumPy 2.1
def unstack(x: Any, axis: int = 0) -> tuple[Any, ...]:
    """The arrays that stand along ``axis``, without it: the inverse of ``stack``."""
    axis = nonnegative_axis("unstack", x, axis)
    ahead, n = (slice(None),) * axis, x.shape[axis]
    if n <= 4:
        return tuple(getitem(x, (*ahead, i)) for i in range(n))
    # By halves, since the gradient of each slice is an array as long as what was sliced: together
    # these are log₂ n times as long as x, where those of n slices of x itself would be n times.
    halves = (getitem(x, (*ahead, part)) for part in (slice(n // 2), slice(n // 2, None)))
    return tuple(entry for half in halves for entry in unstack(half, axis))
