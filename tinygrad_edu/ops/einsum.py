"""The matrix product, Einstein summation, and the products of arrays that NumPy names besides.

The gradient of an einsum by one of its operands is an einsum again, with the gradient of the
result in that operand's place.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from string import ascii_letters
from typing import Any

import numpy as np

from tinygrad_edu.errors import OperandError, ShapeError, kind_of
from tinygrad_edu.ops.declare import NUMPY_FUNCTIONS, composite, primitive
from tinygrad_edu.ops.indexing import scatter
from tinygrad_edu.ops.joining import stack
from tinygrad_edu.ops.reduction import sum
from tinygrad_edu.ops.shape import broadcast_to, reshape, transpose

# The matrix product


def _by_left(g: Any, y: Any, a: Any, b: Any) -> Any:
    if b.ndim == 1:  # y = Σₖ a[..., k] b[k], a vector or a number for each row of a
        return g[..., None] * b
    if a.ndim == 1:  # a row vector: y[..., n] = Σₖ a[k] b[..., k, n]
        return sum(b * g[..., None, :], -1)
    return g @ b.mT


def _by_right(g: Any, y: Any, a: Any, b: Any) -> Any:
    if a.ndim == 1 and b.ndim == 1:
        return g * a
    if a.ndim == 1:
        return a[:, None] * g[..., None, :]
    if b.ndim == 1:
        return sum(a * g[..., None], tuple(range(a.ndim - 1)))
    return a.mT @ g


@primitive(_by_left, _by_right, symbol="@", numpy=np.matmul)
def matmul(a: Any, b: Any) -> Any:
    """``a @ b``: the matrix product over the last two axes, the others broadcasting.

    Shapes: ``(..., M, K) @ (..., K, N)`` gives ``(..., M, N)``; a 1-D operand is a row vector on
    the left and a column vector on the right, and its axis is dropped from the result.
    """
    return np.matmul(a, b)


# Einstein summation


def _labels(subscripts: str, ndims: list[int]) -> tuple[list[str], str]:
    """The labels of each operand's axes and of the result's, an ellipsis written out."""
    subscripts = subscripts.replace(" ", "")
    given, arrow, output = subscripts.partition("->")
    terms = given.split(",")
    unused = [c for c in ascii_letters if c not in subscripts]
    hidden = [n - len(t) + 3 if "..." in t else 0 for t, n in zip(terms, ndims, strict=True)]
    # The axes under an ellipsis broadcast, so they are numbered from the right.
    ellipsis = "".join(unused[: max(hidden, default=0)])
    inputs = [
        term.replace("...", ellipsis[len(ellipsis) - n :])
        for term, n in zip(terms, hidden, strict=True)
    ]
    if not arrow:
        once = sorted(c for c in set(given) - set(".,") if given.count(c) == 1)
        return inputs, ellipsis + "".join(once)
    return inputs, output.replace("...", ellipsis)


def _contraction_rule(
    g: Any, y: Any, *operands: Any, subscripts: str, optimize: Any, i: int
) -> Any:
    x = operands[i]
    inputs, output = _labels(subscripts, [_ndim(a) for a in operands])
    terms = [*inputs[:i], output, *inputs[i + 1 :]]
    labels = "".join(dict.fromkeys(inputs[i]))
    reached = "".join(c for c in labels if any(c in term for term in terms))
    gradient = contraction(
        (*operands[:i], g, *operands[i + 1 :]), f"{','.join(terms)}->{reached}", optimize
    )
    # Along a label of this operand alone, or of length 1 in all others, every entry was added to
    # the same: the gradient has length 1 there, and is broadcast.
    lengths = dict(zip(reached, gradient.shape, strict=True))
    sides = dict(zip(inputs[i], x.shape, strict=True))
    gradient = reshape(gradient, tuple(lengths.get(c, 1) for c in labels))
    if any(lengths.get(c, 1) == 1 != sides[c] for c in labels):
        whole = (sides[c] if lengths.get(c, 1) == 1 else lengths[c] for c in labels)
        gradient = broadcast_to(gradient, tuple(whole))
    if len(labels) == len(inputs[i]):
        return gradient
    # A label that an operand repeats takes its diagonal: all else in it has the gradient 0.
    repeated = tuple(k for k, c in enumerate(labels) if sides[c] == 1)
    gradient = sum(gradient, repeated, True)
    along = {
        c: np.arange(sides[c]).reshape([-1 if c == other else 1 for other in labels])
        for c in labels
    }
    return scatter(gradient, x.shape, tuple(along[c] for c in inputs[i]))


@primitive(_contraction_rule, variadic=True, symbol="einsum")
def contraction(*operands: Any, subscripts: str, optimize: Any = False) -> Any:
    """``einsum`` of a sequence of operands, the subscripts as a string."""
    arrays = _as_arrays(operands)
    try:
        return np.einsum(subscripts, *arrays, optimize=optimize)
    except (ValueError, TypeError) as error:
        shapes = " and ".join(str(x.shape) for x in arrays) or "no operand"
        reason = _misfit(subscripts, [x.shape for x in arrays]) or error
        raise kind_of(error)(f'einsum "{subscripts}" cannot take {shapes}: {reason}') from error


def _misfit(subscripts: str, shapes: list[tuple[int, ...]]) -> str | None:
    """What keeps these shapes from the subscripts; None if that is something else."""
    given, _, output = subscripts.replace(" ", "").partition("->")
    terms = given.split(",")
    if len(terms) != len(shapes):
        return (
            f"the subscripts are of {len(terms)} operand{'s' * (len(terms) > 1)}, not {len(shapes)}"
        )
    lengths: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        before, ellipsis, after = term.partition("...")
        labels = before + after
        if len(labels) > len(shape) or (len(labels) < len(shape) and not ellipsis):
            return f"{term!r} has {len(labels)} labels for the {len(shape)} axes of shape {shape}"
        last = len(shape) - len(after)
        for label, n in zip(labels, (*shape[: len(before)], *shape[last:]), strict=True):
            if lengths.get(label, 1) != 1 != n != lengths[label]:
                return f"{label!r} is the label of axes of lengths {lengths[label]} and {n}"
            lengths[label] = n if lengths.get(label, 1) == 1 else lengths[label]
    unknown = [c for c in output if c not in given]
    return f"no operand has the label {unknown[0]!r} of the result" if unknown else None


def _as_arrays(operands: tuple[Any, ...]) -> list[Any]:
    """The operands with Python numbers, which are weak, as arrays of the others' dtype."""
    dtype = np.result_type(*operands)
    return [x if hasattr(x, "ndim") else np.asarray(x, dtype) for x in operands]


@composite(numpy=np.einsum)
def einsum(*operands: Any, optimize: Any = False) -> Any:
    """The sum of products that the subscripts describe, as ``np.einsum`` has it.

    ``einsum("ij,jk->ik", a, b)`` is Σⱼ aᵢⱼ bⱼₖ. Without ``->`` the result has the labels that
    occur once, in alphabetical order; ``...`` stands for axes that broadcast; a label that one
    operand repeats takes its diagonal.

    Args:
        operands: the subscripts and as many arrays as they name; or arrays each followed by the
            list of its labels as integers, and at the end the list of the result's.
        optimize: the order of contraction, for more than two operands: False for one sum over
            everything, True, ``"greedy"`` or ``"optimal"`` for a search, or a path that
            ``np.einsum_path`` found. A path serves the gradients too.

    Raises:
        ShapeError: the operands don't fit the subscripts.
    """
    if not operands:
        raise OperandError('einsum needs subscripts and operands: einsum("ij,jk->ik", a, b)')
    if isinstance(operands[0], str):
        return contraction(operands[1:], operands[0], optimize)
    arrays, lists = operands[: len(operands) // 2 * 2 : 2], operands[1::2]
    subscripts = ",".join(map(_as_subscript, lists))
    if len(operands) % 2:
        subscripts += "->" + _as_subscript(operands[-1])
    return contraction(arrays, subscripts, optimize)


def _as_subscript(labels: Iterable[Any]) -> str:
    """A list of integer labels as the letters that sort alike."""
    # NumPy's implicit result is sorted by letter: capitals come first.
    letters = "".join(sorted(ascii_letters))
    try:
        return "".join("..." if n is Ellipsis else letters[n] for n in labels)
    except (TypeError, IndexError) as error:
        raise OperandError(
            f"the labels of an einsum are integers from 0 to 51 or Ellipsis, not {labels!r}"
        ) from error


def _ndim(x: Any) -> int:
    return x.ndim if hasattr(x, "ndim") else np.ndim(x)


def _size(x: Any) -> int:
    return math.prod(x.shape)


def as_array(x: Any) -> Any:
    """x itself, or an array of it if it is a number or a list."""
    return x if hasattr(x, "ndim") else np.asarray(x)


@composite(numpy=np.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """The sum of products over axes of ``a`` paired with axes of ``b``.

    Args:
        axes: how many of the last axes of ``a`` to pair with the first of ``b``, in order; or the
            axes of ``a`` and those of ``b``, each an int or a sequence.

    Returns:
        The other axes of ``a``, then those of ``b``.

    Raises:
        ShapeError: paired axes differ in length or number.
    """
    a, b = as_array(a), as_array(b)
    left: list[Any]
    right: list[Any]
    if isinstance(axes, int | np.integer):
        left, right = list(range(a.ndim - axes, a.ndim)), list(range(axes))
    else:
        left, right = ([k] if isinstance(k, int | np.integer) else list(k) for k in axes)
    fits = len(left) == len(right) and all(
        -a.ndim <= m < a.ndim and -b.ndim <= n < b.ndim and a.shape[m] == b.shape[n]
        for m, n in zip(left, right, strict=True)
    )
    if not fits:
        raise ShapeError(
            f"tensordot pairs axes {left} of shape {a.shape} with axes {right} of shape {b.shape}:"
            " they must be as many, and of equal lengths"
        )
    left, right = [int(m) % a.ndim for m in left], [int(n) % b.ndim for n in right]
    rows = [k for k in range(a.ndim) if k not in left]
    columns = [k for k in range(b.ndim) if k not in right]
    inner = math.prod(a.shape[k] for k in left)
    shape = (*(a.shape[k] for k in rows), *(b.shape[k] for k in columns))
    m, n = math.prod(a.shape[k] for k in rows), math.prod(b.shape[k] for k in columns)
    product = matmul(
        reshape(transpose(a, (*rows, *left)), (m, inner)),
        reshape(transpose(b, (*right, *columns)), (inner, n)),
    )
    return reshape(product, shape)


@composite(numpy=np.dot)
def dot(a: Any, b: Any) -> Any:
    """The sum of products over the last axis of ``a`` and the second to last (or only) of ``b``.

    Of two vectors the inner product, of two matrices ``a @ b``, with a number its multiple.
    """
    if not _ndim(a) or not _ndim(b):
        return a * b if hasattr(a, "ndim") else b * a
    if _ndim(b) == 1 or (_ndim(a) <= 2 and _ndim(b) == 2):
        return matmul(a, b)
    return tensordot(a, b, (-1, -2))


@composite(numpy=np.inner)
def inner(a: Any, b: Any, /) -> Any:
    """The sum of products over the last axis of both."""
    if not _ndim(a) or not _ndim(b):
        return a * b if hasattr(a, "ndim") else b * a
    return tensordot(a, b, (-1, -1))


@composite(numpy=np.vdot)
def vdot(a: Any, b: Any, /) -> Any:
    """The sum of products of all the entries."""
    a, b = as_array(a), as_array(b)
    return matmul(reshape(a, (_size(a),)), reshape(b, (_size(b),)))


@composite(numpy=np.outer)
def outer(a: Any, b: Any) -> Any:
    """Every entry of ``a`` times every entry of ``b``: a matrix."""
    a, b = as_array(a), as_array(b)
    return reshape(a, (_size(a), 1)) * reshape(b, (1, _size(b)))


@composite(numpy=np.vecdot)
def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The sum of products over one axis of both, the others broadcasting."""
    return contraction((_with_last(x1, axis), _with_last(x2, axis)), "...i,...i->...")


def _with_last(x: Any, axis: int) -> Any:
    """x with one axis moved to the end."""
    x = as_array(x)
    if axis in (-1, x.ndim - 1):
        return x
    order = list(range(x.ndim))
    order.append(order.pop(axis))
    return transpose(x, tuple(order))


# NumPy has these two from 2.2 on.


@composite(numpy=getattr(np, "matvec", None))
def matvec(x1: Any, x2: Any, /) -> Any:
    """Matrices ``(..., M, N)`` times column vectors ``(..., N)``, the other axes broadcasting."""
    return matmul(x1, as_array(x2)[..., None])[..., 0]


@composite(numpy=getattr(np, "vecmat", None))
def vecmat(x1: Any, x2: Any, /) -> Any:
    """Row vectors ``(..., M)`` times matrices ``(..., M, N)``, the other axes broadcasting."""
    return matmul(as_array(x1)[..., None, :], x2)[..., 0, :]


@composite(numpy=np.cross)
def cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Any:
    """The vector product of vectors of three entries, the other axes broadcasting.

    Args:
        axisa: the axis of ``a`` that holds the vectors.
        axisb: that of ``b``.
        axisc: that of the result.
        axis: all three of them.

    Raises:
        ShapeError: the vectors have other than three entries.
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = _with_last(a, axisa), _with_last(b, axisb)
    if a.shape[-1:] != (3,) or b.shape[-1:] != (3,):
        raise ShapeError(
            f"cross takes vectors of 3 entries; with these at the end it got shapes {a.shape} and"
            f" {b.shape}. In the plane it is a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]"
        )
    x, y, z = ((a[..., k], b[..., k]) for k in range(3))
    return stack([p[0] * q[1] - q[0] * p[1] for p, q in ((y, z), (z, x), (x, y))], axisc)


@composite(numpy=np.kron)
def kron(a: Any, b: Any) -> Any:
    """The Kronecker product: every entry of ``a`` times the whole of ``b``, as blocks."""
    a, b = as_array(a), as_array(b)
    ndim = max(a.ndim, b.ndim)
    rows = (1,) * (ndim - a.ndim) + a.shape
    columns = (1,) * (ndim - b.ndim) + b.shape
    # Axis by axis, the entries of a lie apart by the length of b.
    apart = reshape(a, tuple(n for pair in zip(rows, (1,) * ndim, strict=True) for n in pair))
    block = reshape(b, tuple(n for pair in zip((1,) * ndim, columns, strict=True) for n in pair))
    return reshape(apart * block, tuple(m * n for m, n in zip(rows, columns, strict=True)))


@composite(numpy=np.linalg.multi_dot)
def multi_dot(arrays: Any) -> Any:
    """The product of two or more matrices, in the order that costs the fewest multiplications.

    The first and the last may be vectors: a row and a column.

    Raises:
        ShapeError: fewer than two arrays, or one that is no matrix.
    """
    arrays = [as_array(a) for a in arrays]
    ends = {0, len(arrays) - 1}
    if len(arrays) < 2 or any(
        a.ndim != 2 and not (a.ndim == 1 and k in ends) for k, a in enumerate(arrays)
    ):
        raise ShapeError(
            "multi_dot takes two or more matrices, of which the first and last may be vectors; it"
            f" got shapes {', '.join(str(a.shape) for a in arrays)}"
        )
    row, column = arrays[0].ndim == 1, arrays[-1].ndim == 1
    lengths = [
        1 if row else arrays[0].shape[0],
        *(a.shape[0] for a in arrays[1:]),
        1 if column else arrays[-1].shape[-1],
    ]
    if row:  # its only length is the inner one
        lengths[1] = arrays[1].shape[0]
    split = _cheapest_splits(lengths)

    def product(i: int, j: int) -> Any:
        if i == j:
            return arrays[i]
        k = split[i, j]
        return matmul(product(i, k), product(k + 1, j))

    return product(0, len(arrays) - 1)


def _cheapest_splits(lengths: list[int]) -> dict[tuple[int, int], int]:
    """Where to split the product of matrices i to j, of which k is lengths[k] by lengths[k + 1].

    Source: Cormen, Leiserson, Rivest and Stein, Introduction to Algorithms, matrix chains.
    """
    count = len(lengths) - 1
    cost = {(i, i): 0 for i in range(count)}
    split = {}
    for span in range(1, count):
        for i in range(count - span):
            j = i + span
            costs = {
                k: cost[i, k] + cost[k + 1, j] + lengths[i] * lengths[k + 1] * lengths[j + 1]
                for k in range(i, j)
            }
            split[i, j] = min(costs, key=lambda k: costs[k])
            cost[i, j] = costs[split[i, j]]
    return split


# The same under the names of the array API.
NUMPY_FUNCTIONS[np.linalg.matmul] = matmul
NUMPY_FUNCTIONS[np.linalg.cross] = cross
NUMPY_FUNCTIONS[np.linalg.tensordot] = tensordot
NUMPY_FUNCTIONS[np.linalg.vecdot] = vecdot
NUMPY_FUNCTIONS[np.linalg.outer] = outer
