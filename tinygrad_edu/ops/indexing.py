"""Taking entries out of an array, and putting them back: each is the other's derivative."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu.errors import IndexingError, OperandError, ShapeError
from tinygrad_edu.graph import Node, plain
from tinygrad_edu.ops import elementwise
from tinygrad_edu.ops.declare import composite, primitive

# One index, of every kind that NumPy has


def _getitem_rule(g: Any, y: Any, x: Any, index: Any) -> Any:
    return scatter(g, x.shape, index)


@primitive(_getitem_rule, symbol="[ ]")
def getitem(x: Any, index: Any) -> Any:
    """``x[index]``, for every kind of index that NumPy has."""
    return x[index]


@primitive(lambda g, y, x, shape, index: getitem(g, index))
def scatter(x: Any, shape: Any, index: Any) -> Any:
    """Zeros of ``shape``, to which ``x`` is added at ``index``; repeated places add up."""
    out = np.zeros(shape, dtype=x.dtype)
    if isinstance(index, np.ndarray) and index.dtype != bool and out.ndim > 1 and x.size > 4096:
        _add_rows(out, index, x)
    elif _repeats(index):
        np.add.at(out, index, x)
    else:
        out[index] = x
    return out


@primitive(
    lambda g, y, x, value, index: g,
    lambda g, y, x, value, index: getitem(g, index),
    symbol="[ ] +=",
)
def add_at(x: Any, value: Any, index: Any) -> Any:
    """``index_add``, with the operands before the index."""
    out = np.array(x, dtype=np.result_type(x, value))
    if _repeats(index):
        np.add.at(out, index, value)
    else:
        out[index] += value
    return out


def _set_by_x(g: Any, y: Any, x: Any, value: Any, index: Any) -> Any:
    return set_at(g, 0.0, index)


def _set_by_value(g: Any, y: Any, x: Any, value: Any, index: Any) -> Any:
    taken = getitem(g, index)
    if _repeats(index):  # only the value that was set last is still there
        taken = elementwise.where(_is_last(y.shape, index), taken, 0.0)
    # Assignment drops leading axes of length 1 of the value; its gradient has them again.
    return taken.reshape((1,) * (value.ndim - taken.ndim) + taken.shape)


@primitive(_set_by_x, _set_by_value, symbol="[ ] =")
def set_at(x: Any, value: Any, index: Any) -> Any:
    """``index_set``, with the operands before the index."""
    out = np.array(x, dtype=np.result_type(x, value), order="C")
    if _repeats(index):  # NumPy leaves open which value wins, except in one dimension
        places = _places(out.shape, index)
        out.reshape(-1)[places.ravel()] = np.broadcast_to(value, places.shape).ravel()
    else:
        out[index] = value
    return out


@composite()
def index_add(x: Any, index: Any, value: Any) -> Any:
    """A copy of x with ``value`` added at ``index``; at a place named twice, both are added.

    >>> import numpy as np
    >>> from tinygrad_edu.ops.indexing import index_add
    >>> index_add(np.zeros(3), [0, 0, 2], np.array([1.0, 10.0, 5.0]))
    array([11.,  0.,  5.])

    Args:
        x: the array; its dtype and that of ``value`` promote.
        index: what may stand in ``x[index]``.
        value: broadcasts to the shape of ``x[index]``.
    """
    return add_at(x, value, frozen(index))


@composite()
def index_set(x: Any, index: Any, value: Any) -> Any:
    """A copy of x with ``x[index] = value``: assignment as a function, differentiable by both.

    At a place that ``index`` names twice the last value wins, and gets the gradient.

    >>> import numpy as np
    >>> from tinygrad_edu.ops.indexing import index_set
    >>> index_set(np.zeros(3), slice(1, None), 7.0)
    array([0., 7., 7.])

    Args:
        x: the array; its dtype and that of ``value`` promote.
        index: what may stand in ``x[index]``.
        value: broadcasts to the shape of ``x[index]``.
    """
    return set_at(x, value, frozen(index))


# Indices along one axis


@composite(numpy=np.take)
def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """``x[..., indices, ...]``, with ``indices`` at ``axis``; from x laid out flat by default.

    Args:
        x: the array.
        indices: integers, in any shape; these axes take the place of ``axis`` in the result.
        axis: the axis to take along.

    Raises:
        IndexingError: an index or ``axis`` is out of range, or an index is not an integer.
    """
    places = _integers(indices, "take")
    if axis is None:
        return getitem(_flat(x), places)
    return getitem(x, (slice(None),) * nonnegative_axis("take", x, axis) + (places,))


@composite(numpy=np.take_along_axis)
def take_along_axis(x: Any, indices: Any, axis: int | None = -1) -> Any:
    """``y[..., i, ...] = x[..., indices[..., i, ...], ...]``, with i at ``axis``.

    So ``take_along_axis(x, argsort(x), -1)`` is x sorted.

    Args:
        x: the array.
        indices: integers, with as many axes as x; the others broadcast with those of x.
        axis: the axis to take along; None for x laid out flat.

    Raises:
        ShapeError: ``indices`` has another number of axes.
        IndexingError: an index or ``axis`` is out of range, or an index is not an integer.
    """
    if axis is None:
        x, axis = _flat(x), 0
    return _along_axis("take_along_axis", x, indices, axis, x.shape)


@composite()
def gather(x: Any, axis: int, index: Any) -> Any:
    """``y[i, j] = x[index[i, j], j]`` for axis 0, ``x[i, index[i, j]]`` for axis 1, and so on.

    PyTorch's ``gather(input, dim, index)``: unlike in ``take_along_axis`` nothing broadcasts, and
    ``index`` may be shorter than x along the other axes.

    Args:
        x: the array.
        axis: the axis that ``index`` chooses along.
        index: integers, with as many axes as x; the result has this shape.

    Raises:
        ShapeError: ``index`` has another number of axes, or is longer than x along another axis.
        IndexingError: an index or ``axis`` is out of range, or an index is not an integer.
    """
    places = _integers(index, "gather")
    if any(
        n > m
        for i, (n, m) in enumerate(zip(places.shape, x.shape, strict=False))
        if i != axis % len(x.shape)
    ):
        raise ShapeError(
            f"gather along axis {axis} of shape {x.shape} cannot take an index of shape"
            f" {places.shape}: along the other axes it may be no longer than the array"
        )
    return _along_axis("gather", x, places, axis, places.shape)


def _along_axis(name: str, x: Any, indices: Any, axis: int, lengths: tuple[int, ...]) -> Any:
    places = _integers(indices, name)
    if places.ndim != len(x.shape):
        raise ShapeError(
            f"{name} cannot take an index of shape {places.shape} from shape {x.shape}: it needs"
            f" {len(x.shape)} axes"
        )
    axis = nonnegative_axis(name, x, axis)
    grids = np.ix_(*map(np.arange, lengths))
    return getitem(x, (*grids[:axis], places, *grids[axis + 1 :]))


# Entries that meet a condition


@composite(numpy=np.compress)
def compress(condition: Any, x: Any, axis: int | None = None) -> Any:
    """The entries of x along ``axis`` where the 1-D condition, a constant, holds."""
    return take(x, np.flatnonzero(plain(condition)), axis)


@composite(numpy=np.extract)
def extract(condition: Any, x: Any) -> Any:
    """The entries of x, laid out flat, where the condition, a constant, holds."""
    return take(x, np.flatnonzero(plain(condition)))


@composite(numpy=np.select)
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    """The first of the choices whose condition holds, entry by entry, broadcasting.

    Args:
        condlist: arrays of bools, constants.
        choicelist: as many arrays; differentiable.
        default: what stands where no condition holds; differentiable.

    Raises:
        OperandError: there is no condition, or the lists differ in length.
    """
    if len(condlist) != len(choicelist) or not condlist:
        raise OperandError(
            f"select takes a choice for each condition, at least one; it got {len(condlist)}"
            f" conditions and {len(choicelist)} choices"
        )
    result = default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        result = elementwise.where(plain(condition), choice, result)
    return result


@composite(numpy=np.choose)
def choose(x: Any, choices: Sequence[Any]) -> Any:
    """Entry by entry, the choice whose number stands in x, broadcasting.

    Args:
        x: integers, constants.
        choices: arrays; differentiable.

    Raises:
        IndexingError: x has a number that is no choice's, or numbers that are no integers.
    """
    places = _integers(x, "choose")
    if np.any((places < 0) | (places >= len(choices))):
        raise IndexingError(f"choose takes numbers from 0 to {len(choices) - 1}, one for a choice")
    return select([places == i for i in range(len(choices))], choices)


@composite(numpy=np.bincount)
def bincount(x: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each of 0, 1, 2, ... stands in a vector x, or the sum of its ``weights``.

    Args:
        x: integers of at least 0; constants.
        weights: a number for each of them; differentiable.
        minlength: how many entries the result has at least.

    Raises:
        IndexingError: x holds a negative number, or numbers that are no integers.
        ShapeError: x is no vector, or the weights have another shape.
    """
    places = _integers(x, "bincount")
    if places.ndim != 1 or (weights is not None and np.shape(weights) != places.shape):
        raise ShapeError(
            f"bincount takes a vector, not shape {places.shape}, and weights of its shape"
        )
    if np.any(places < 0):
        raise IndexingError("bincount counts 0, 1, 2, ...; it got a negative number")
    if weights is None:
        return np.bincount(places, minlength=minlength)
    length = max(minlength, int(places.max(initial=-1)) + 1)
    weights = weights if isinstance(weights, Node) else np.asarray(weights, dtype=float)
    return scatter(weights, (length,), places)


@composite(numpy=np.nonzero)
def nonzero(x: Any) -> tuple[np.ndarray[Any, Any], ...]:
    """Where x is not 0: an array of indices for each axis. Constants."""
    return np.nonzero(plain(x))


@composite(numpy=np.flatnonzero)
def flatnonzero(x: Any) -> np.ndarray[Any, Any]:
    """Where x, laid out flat, is not 0: an array of indices, which are constants."""
    return np.flatnonzero(plain(x))


@composite(numpy=np.argwhere)
def argwhere(x: Any) -> np.ndarray[Any, Any]:
    """Where x is not 0: a row of indices for each such entry. Constants."""
    return np.argwhere(plain(x))


# What the above need


def frozen(index: Any) -> Any:
    """An index with plain arrays in the place of nodes, and copies in that of arrays and lists.

    A derivative rule reads the index when backward runs, and the caller may have changed theirs.
    """
    if isinstance(index, tuple):
        return tuple(map(frozen, index))
    if isinstance(index, list):
        return list(map(frozen, index))
    if isinstance(index, Node):
        index = index.data
    return index.copy() if isinstance(index, np.ndarray) else index


def nonnegative_axis(name: str, x: Any, axis: Any) -> int:
    """``axis`` of x counted from the first one.

    Raises:
        IndexingError: x has no such axis; the message says that ``name`` asked for it.
    """
    ndim = len(x.shape)
    try:
        counted = operator.index(axis)
    except TypeError as error:
        raise OperandError(f"{name} takes one integer as axis=, not {axis!r}") from error
    if not -ndim <= counted < ndim:
        raise IndexingError(
            f"{name} cannot take axis={axis} of shape {x.shape}: "
            + (f"axes go from {-ndim} to {ndim - 1}" if ndim else "a number has no axes")
        )
    return counted % ndim


def _flat(x: Any) -> Any:
    return x.reshape((math.prod(x.shape),))


def _integers(indices: Any, name: str) -> np.ndarray[Any, Any]:
    """Indices as an array of its own, which the caller cannot change."""
    places = np.array(plain(indices))
    if places.dtype.kind not in "iu":
        raise IndexingError(f"{name} takes integers as indices, not {places.dtype}")
    return places


def _repeats(index: Any) -> bool:
    """Whether an index can name the same entry twice: only sequences of integers can."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(p.ndim > 0 and p.dtype != bool for p in map(np.asarray, parts))


def _add_rows(out: Any, rows: np.ndarray[Any, Any], x: Any) -> None:
    """``np.add.at(out, rows, x)`` on zeros, several times faster where there are many entries."""
    x = np.broadcast_to(x, (*rows.shape, *out.shape[1:]))
    rows = np.arange(len(out))[rows].ravel()  # raises where one is out of range
    order = np.argsort(rows, kind="stable")
    rows = rows[order]
    first = np.flatnonzero(np.diff(rows, prepend=-1))  # of each row's run
    out[rows[first]] = np.add.reduceat(x.reshape(len(rows), *out.shape[1:])[order], first, axis=0)


def _places(shape: tuple[int, ...], index: Any) -> np.ndarray[Any, Any]:
    """Where, in an array of ``shape`` laid out flat, is each of the entries that index takes."""
    places: Any = 0
    for coordinates, n in zip(np.indices(shape, sparse=True), shape, strict=True):
        places = places * n + np.broadcast_to(coordinates, shape)[index]
    return np.asarray(places)


def _is_last(shape: tuple[int, ...], index: Any) -> np.ndarray[Any, Any]:
    """For each entry that ``index`` takes, whether it is the last one taken from its place."""
    places = _places(shape, index)
    turn = np.arange(places.size)
    last = np.zeros(math.prod(shape), dtype=int)
    last[places.ravel()] = turn
    return np.asarray(last[places] == turn.reshape(places.shape))
