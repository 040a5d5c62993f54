"""What properties of gradients are tested on: Hypothesis strategies for shapes, arrays and nodes.

Each shrinks towards the simplest, checks its arguments when it is called, and builds what it
draws rather than rejecting what does not fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from numpy.typing import DTypeLike

from tinygrad_edu.errors import DTypeError, OperandError
from tinygrad_edu.ops.declare import OPS, Op
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.testing.domains import Domain, domains_of
from tinygrad_edu.value import Value

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
Interval = tuple[float, float]
FLOAT64 = np.dtype(np.float64)


def shapes(
    min_dims: int = 0,
    max_dims: int = 3,
    min_side: int = 0,
    max_side: int = 3,
    max_size: int | None = None,
) -> SearchStrategy[Shape]:
    """Shapes of arrays, with axes of length 0 and 1 among them.

    Args:
        min_dims: the least number of axes.
        max_dims: the largest number of axes.
        min_side: the least length of an axis.
        max_side: the largest length of an axis.
        max_size: the largest number of entries; None for as many as the lengths allow.

    Raises:
        OperandError: no shape is like that.

    >>> from hypothesis import find
    >>> from tinygrad_edu.testing import shapes
    >>> find(shapes(), lambda shape: len(shape) == 2), find(shapes(min_dims=1, min_side=1), any)
    ((0, 0), (1,))
    """
    _check_bounds("shapes", "dims", min_dims, max_dims)
    _check_bounds("shapes", "side", min_side, max_side)
    if max_size is None:
        return hnp.array_shapes(
            min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=max_side
        )
    smallest = max(min_side, 1)  # an axis of length 0 leaves room for anything
    if max_size < smallest**min_dims:
        raise OperandError(
            f"shapes cannot keep to max_size={max_size} with {min_dims} axes of length"
            f" {min_side} or more"
        )
    return _shapes_up_to(max_size, min_dims, max_dims, min_side, max_side)


@st.composite
def _shapes_up_to(
    draw: DrawFn, max_size: int, min_dims: int, max_dims: int, min_side: int, max_side: int
) -> Shape:
    smallest = max(min_side, 1)
    ndim = draw(
        st.sampled_from([n for n in range(min_dims, max_dims + 1) if smallest**n <= max_size])
    )
    shape: list[int] = []
    size = 1
    for later in reversed(range(ndim)):
        room = max_size // (size * smallest**later)
        shape.append(draw(st.integers(min_side, min(max_side, room))))
        size *= max(shape[-1], 1)
    return tuple(shape)


def broadcastable_shapes(
    n: int, min_dims: int = 0, max_dims: int = 3, min_side: int = 0, max_side: int = 3
) -> SearchStrategy[tuple[Shape, ...]]:
    """Shapes of ``n`` arrays that broadcast with each other.

    Args:
        n: how many.
        min_dims: the least number of axes of each.
        max_dims: the largest number of axes of each.
        min_side: the least length of an axis, but for those of length 1 that are stretched.
        max_side: the largest length of an axis.

    Raises:
        OperandError: no shapes are like that.

    >>> from hypothesis import find
    >>> from tinygrad_edu.testing import broadcastable_shapes
    >>> find(broadcastable_shapes(2, min_dims=1, max_side=2), lambda pair: pair == ((1,), (2,)))
    ((1,), (2,))
    """
    if n < 1:
        raise OperandError(f"broadcastable_shapes draws one shape or more, not n={n}")
    _check_bounds("broadcastable_shapes", "dims", min_dims, max_dims)
    _check_bounds("broadcastable_shapes", "side", min_side, max_side)
    return hnp.mutually_broadcastable_shapes(
        num_shapes=n, min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=max_side
    ).map(lambda found: found.input_shapes)


def arrays(
    shape: int | Shape | SearchStrategy[Shape] | None = None,
    dtype: DTypeLike | SearchStrategy[Any] = np.float64,
    domain: Interval | Iterable[Interval] = (-2.0, 2.0),
    min_gap: float = 0.0,
    away_from: Iterable[float] = (),
) -> SearchStrategy[Array]:
    """ndarrays of floats; ``tensors`` takes the same arguments and says what they mean.

    >>> from hypothesis import find
    >>> from tinygrad_edu.testing import arrays
    >>> find(arrays(3, min_gap=0.5), lambda x: True)
    array([0. , 0.5, 1. ])
    """
    intervals = _intervals(domain, min_gap, tuple(away_from))
    if shape is None:
        shape = shapes(max_size=_capacity(intervals, min_gap) if min_gap else None)
    elif not isinstance(shape, SearchStrategy):
        shape = st.just(_as_shape("arrays", shape))
    if not isinstance(dtype, SearchStrategy):
        dtype = st.just(_floating(dtype))
    return _arrays(shape, dtype, intervals, min_gap)


@st.composite
def _arrays(
    draw: DrawFn,
    shape: SearchStrategy[Shape],
    dtype: SearchStrategy[Any],
    intervals: list[Interval],
    min_gap: float,
) -> Array:
    drawn_shape, drawn_dtype = draw(shape), _floating(draw(dtype))
    size = math.prod(drawn_shape)
    if min_gap and size > (most := _capacity(intervals, min_gap)):
        raise OperandError(
            f"an array of shape {drawn_shape} has {size} entries, of which {most} have room in the"
            f" domain with min_gap={min_gap}: take a smaller gap or a larger domain"
        )
    elements = numbers(intervals, drawn_dtype)
    found = draw(hnp.arrays(drawn_dtype, drawn_shape, elements=elements))
    return _apart(found, intervals, min_gap) if min_gap else found


def tensors(
    shape: int | Shape | SearchStrategy[Shape] | None = None,
    dtype: DTypeLike | SearchStrategy[Any] = np.float64,
    domain: Interval | Iterable[Interval] = (-2.0, 2.0),
    min_gap: float = 0.0,
    away_from: Iterable[float] = (),
    requires_grad: bool = True,
) -> SearchStrategy[Tensor]:
    """Tensors of floats, at points where a function can be differentiated.

    Args:
        shape: a shape, or a strategy for them; by default any of ``shapes()`` that has room.
        dtype: a floating-point dtype, or a strategy for them.
        domain: what the entries lie in: an interval (low, high), or several, as in
            ``((-2, -0.5), (0.5, 2))`` for a function with a pole at 0.
        min_gap: how far apart any two entries of a Tensor are at least, so that there are no ties.
            It holds up to the rounding of the dtype.
        away_from: points that the entries keep at least ``min_gap`` away from, such as the kinks
            of a function.
        requires_grad: whether gradients flow to the Tensors.

    Raises:
        OperandError: there is nothing in the domain, or no room for an array of that shape.
        DTypeError: the dtype is not of floating-point numbers.

    >>> from hypothesis import find
    >>> from tinygrad_edu.testing import tensors
    >>> find(tensors((1, 2), domain=((-2, -0.5), (0.5, 2))), lambda t: True)
    Tensor([[1., 1.]], dtype=float64, requires_grad=True)
    >>> find(tensors(3, min_gap=0.25, away_from=[0.0]), lambda t: True)
    Tensor([1.  , 1.25, 1.5 ], dtype=float64, requires_grad=True)
    """
    return arrays(shape, dtype, domain, min_gap, away_from).map(
        lambda data: Tensor(data, requires_grad=requires_grad)
    )


def values(domain: Interval | Iterable[Interval] = (-2.0, 2.0)) -> SearchStrategy[Value]:
    """Values in a domain: an interval (low, high) or several.

    >>> from hypothesis import find
    >>> from tinygrad_edu.testing import values
    >>> find(values(), lambda v: v.exp() > 2)
    Value(data=1.0, grad=0.0)
    """
    return numbers(_intervals(domain)).map(Value)


def axes(shape: int | Shape, multiple: bool = True) -> SearchStrategy[Any]:
    """Everything that ``axis=`` may be for an array: None, an int, or a tuple of them.

    Args:
        shape: the array's shape, or its number of axes.
        multiple: whether there are tuples too.

    >>> from hypothesis import find
    >>> from tinygrad_edu.testing import axes
    >>> find(axes(2), lambda axis: isinstance(axis, int))
    0
    >>> find(axes((3, 4)), lambda axis: axis == (1, 0))
    (1, 0)
    """
    ndim = shape if isinstance(shape, int) else len(_as_shape("axes", shape))
    if ndim < 0:
        raise OperandError(f"axes are those of an array of 0 axes or more, not of {ndim}")
    kinds: list[SearchStrategy[Any]] = [st.none()]
    if ndim:
        kinds.append(st.sampled_from([*range(ndim), *range(-ndim, 0)]))
    if multiple:
        kinds.append(hnp.valid_tuple_axes(ndim))
    return st.one_of(kinds)


def indices(shape: int | Shape) -> SearchStrategy[Any]:
    """Every kind of index that NumPy has, for an array of a shape.

    Integers, slices with steps of either sign, ``...``, ``None``, arrays and lists of integers that
    broadcast with each other, masks over one axis or several, and all of these in one tuple. None
    is out of bounds.

    >>> from hypothesis import given
    >>> from tinygrad_edu.testing import indices
    >>> x = np.arange(6.0).reshape(2, 3)
    >>> @given(indices((2, 3)))
    ... def test_an_index_picks_what_numpy_picks(index):
    ...     np.testing.assert_array_equal(Tensor(x)[index].data, x[index])
    >>> test_an_index_picks_what_numpy_picks()
    """
    return _indices(_as_shape("indices", shape))


@st.composite
def _indices(draw: DrawFn, shape: Shape) -> Any:
    # Arrays of integers and masks in one index broadcast with each other, to (..., picked).
    picked = draw(st.integers(0, 3))
    leading = draw(st.integers(0, len(shape)))
    trailing = draw(st.integers(0, len(shape) - leading))
    parts = [
        *_index_parts(draw, shape[:leading], picked),
        ...,  # the axes in between, if there are any
        *_index_parts(draw, shape[len(shape) - trailing :], picked),
    ]
    if not trailing and draw(st.booleans()):
        parts.pop()
    for new in draw(st.lists(st.sampled_from([None, True]), max_size=2)):
        parts.insert(draw(st.integers(0, len(parts))), new)
    return tuple(parts) if len(parts) != 1 or draw(st.booleans()) else parts[0]


def _index_parts(draw: DrawFn, shape: Shape, picked: int) -> list[Any]:
    """What indexes each of the axes; a mask may take several."""
    parts: list[Any] = []
    while shape:
        n = shape[0]
        choices: list[tuple[int, SearchStrategy[Any]]] = [(1, st.slices(n))]
        if n:
            choices.append((1, st.integers(-n, n - 1)))
            several = st.sampled_from([(picked,), (1,), (2, 1)])
            choices.append((1, several.flatmap(partial(_integers, n))))
        elif not picked:
            choices.append((1, st.just(np.zeros(0, np.intp))))
        choices += [
            (k, _masks(shape[:k], picked))
            for k in range(1, len(shape) + 1)
            if math.prod(shape[:k]) >= picked
        ]
        taken, part = draw(st.sampled_from(choices))
        parts.append(draw(part))
        shape = shape[taken:]
    return parts


def _integers(n: int, shape: Shape) -> SearchStrategy[Any]:
    """Positions on an axis of length n: an array, or nested lists."""
    found = hnp.arrays(np.intp, shape, elements=st.integers(-n, n - 1))
    return found | found.map(lambda positions: positions.tolist())


def _masks(shape: Shape, picked: int) -> SearchStrategy[Array]:
    """Masks of a shape in which so many entries are True."""
    size = math.prod(shape)
    positions = st.lists(
        st.integers(0, max(size - 1, 0)), min_size=picked, max_size=picked, unique=True
    )
    return positions.map(lambda found: np.isin(np.arange(size), found).reshape(shape))


def ops(
    arity: int | None = None, differentiable: bool = True
) -> SearchStrategy[tuple[Op, tuple[Domain, ...]]]:
    """Elementwise ops of the library, and your own, each with one domain per input.

    A domain, as for ``tensors``, has no kinks and no poles of the op in it. An op of your own takes
    any number in (-2, 2).

    Args:
        arity: how many inputs the op has; None for any number.
        differentiable: leave out those that no gradient flows through, such as ``floor``.

    Raises:
        OperandError: there is no such op.

    >>> from hypothesis import find
    >>> from tinygrad_edu.testing import ops
    >>> find(ops(arity=1), lambda drawn: drawn[0].name == "sqrt")
    (<op sqrt>, (((0.5, 2.0),),))
    """
    found = [
        (op, domains_of(op))
        for op in OPS.values()
        if op.on_floats is not None
        and arity in (None, op.arity)
        and (any(op.rules) or not differentiable)
    ]
    if not found:
        raise OperandError(f"there is no elementwise op with {arity} inputs")
    return st.sampled_from(found)


def training_batches(
    features: int | Shape,
    *,
    classes: int | None = None,
    targets: int | Shape | None = None,
    max_size: int = 8,
    dtype: DTypeLike = np.float64,
) -> SearchStrategy[tuple[Array, Array]]:
    """Batches to train on: pairs (x, target), of labels if ``classes`` is given, else of numbers.

    Args:
        features: the shape of one sample; the batch x has the shape (N, *features).
        classes: how many classes there are; the target has the shape (N,), with integers in
            [0, classes).
        targets: the shape of what one sample is to be mapped to; the target has the shape
            (N, *targets).
        max_size: the largest N; the least is 1.
        dtype: of x, and of a target that is made of numbers.

    Raises:
        OperandError: not exactly one of ``classes`` and ``targets`` is given, or none can be drawn.

    >>> from hypothesis import find
    >>> from tinygrad_edu.testing import training_batches
    >>> find(training_batches(2, classes=3), lambda batch: len(batch[1]) == 2)
    (array([[0., 0.],
           [0., 0.]]), array([0, 0]))
    """
    if (classes is None) == (targets is None):
        raise OperandError("training_batches takes classes= or targets=, and not both")
    if max_size < 1 or (classes is not None and classes < 1):
        raise OperandError(
            f"training_batches draws one sample or more of one class or more, not"
            f" max_size={max_size} and classes={classes}"
        )
    sample = _as_shape("training_batches", features)

    def of_size(n: int) -> SearchStrategy[tuple[Array, Array]]:
        x = arrays((n, *sample), dtype)
        if classes is not None:
            return st.tuples(x, hnp.arrays(np.intp, n, elements=st.integers(0, classes - 1)))
        assert targets is not None
        return st.tuples(x, arrays((n, *_as_shape("training_batches", targets)), dtype))

    return st.integers(1, max_size).flatmap(of_size)


# Arguments


def _check_bounds(strategy: str, what: str, least: int, most: int) -> None:
    if not 0 <= least <= most:
        raise OperandError(
            f"{strategy} needs 0 <= min_{what} <= max_{what}, not {least} and {most}"
        )


def _as_shape(strategy: str, shape: Any) -> Shape:
    lengths = (shape,) if isinstance(shape, int) else shape
    if not isinstance(lengths, tuple | list) or not all(
        isinstance(n, int) and n >= 0 for n in lengths
    ):
        raise OperandError(f"{strategy} takes a shape, such as (2, 3), not {shape!r}")
    return tuple(lengths)


def _floating(dtype: Any) -> np.dtype[Any]:
    found = np.dtype(dtype)
    if found not in (np.float16, np.float32, np.float64):
        raise DTypeError(f"arrays and tensors are of float16, float32 or float64, not {found}")
    return found


# Numbers in a union of intervals


def _intervals(
    domain: Any, min_gap: float = 0.0, away_from: tuple[float, ...] = ()
) -> list[Interval]:
    """A domain's intervals in ascending order, without what is too near to some points."""
    given = tuple(domain)
    pairs = [given] if given and not any(map(np.ndim, given)) else list(given)
    if not pairs or not all(
        len(pair) == 2 and -math.inf < pair[0] <= pair[1] < math.inf for pair in pairs
    ):
        raise OperandError(
            f"a domain is an interval (low, high), or several of them, not {domain!r}"
        )
    if min_gap < 0 or (away_from and not min_gap):
        raise OperandError(
            f"min_gap must be above 0 to keep away from points, and not negative; it is {min_gap}"
        )
    cut = sorted((float(low), float(high)) for low, high in pairs)
    for point in away_from:
        below, above = point - min_gap, point + min_gap
        cut = [
            (low, high)
            for left, right in cut
            for low, high in ((left, min(right, below)), (max(left, above), right))
            if low <= high
        ]
    if not cut:
        raise OperandError(f"nothing of the domain {domain!r} is {min_gap} away from {away_from}")
    return cut


def numbers(intervals: Iterable[Interval], dtype: np.dtype[Any] = FLOAT64) -> SearchStrategy[float]:
    """Numbers in intervals, the simplest of which is the one nearest to 0."""

    def representable(bound: float, inward: float) -> float:
        rounded = dtype.type(bound)
        outside = float(rounded) < bound if inward > 0 else float(rounded) > bound
        return float(np.nextafter(rounded, dtype.type(inward)) if outside else rounded)

    def simplicity(interval: Interval) -> tuple[float, bool]:
        low, high = interval
        return (0.0 if low <= 0 <= high else min(abs(low), abs(high))), low < 0

    return st.one_of(
        [
            st.floats(
                representable(low, math.inf),
                representable(high, -math.inf),
                width=8 * dtype.itemsize,  # type: ignore[arg-type]
                allow_subnormal=False,
            )
            for low, high in sorted(intervals, key=simplicity)
        ]
    )


def _capacity(intervals: list[Interval], gap: float) -> int:
    """How many numbers have room in the intervals, at a distance of ``gap``."""
    count, least = 0, -math.inf
    for low, high in intervals:
        first = max(low, least)
        if first <= high:
            more = int((high - first) / gap + 1e-9) + 1
            count, least = count + more, first + more * gap
    return count


def _apart(x: Array, intervals: list[Interval], gap: float) -> Array:
    """The array with its entries moved up, and from the upper end down, until none is too near."""
    order = np.argsort(x, axis=None, kind="stable")
    found = x.ravel()[order].astype(np.float64)
    below, above = -math.inf, math.inf
    for i in range(len(found)):
        found[i] = below = _at_least(max(found[i], below + gap), intervals)
    for i in reversed(range(len(found))):
        found[i] = above = _at_most(min(found[i], above - gap), intervals)
    moved = np.empty(x.size, x.dtype)
    moved[order] = found
    return moved.reshape(x.shape)


def _at_least(x: float, intervals: list[Interval]) -> float:
    return next((max(low, x) for low, high in intervals if high >= x), math.inf)


def _at_most(x: float, intervals: list[Interval]) -> float:
    return next((min(high, x) for low, high in reversed(intervals) if low <= x), intervals[0][0])
