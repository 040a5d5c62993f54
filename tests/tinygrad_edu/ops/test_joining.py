"""Arrays put together, taken apart, and changed in length."""

import numpy as np
import pytest

from tinygrad_edu import IndexingError, ShapeError, Tensor
from tinygrad_edu.ops.joining import concatenate, unstack
from tinygrad_edu.testing import gradcheck


def leaf(data):
    return Tensor(np.array(data, dtype=np.float64), requires_grad=True)


X = np.arange(24.0).reshape(2, 3, 4)[:, ::-1] % 7
M = X[0]
V = M[0]
JOINS = [np.concatenate, np.stack, np.hstack, np.vstack, np.dstack, np.column_stack]


@pytest.mark.parametrize("function", JOINS)
@pytest.mark.parametrize("x", [V, M, X], ids=["vectors", "matrices", "three axes"])
def test_arrays_are_put_together_as_in_numpy_each_with_its_gradient(function, x):
    a, b = leaf(x), leaf(-x)
    parts = [x, x + 1, -x, x]
    y = function([a, x + 1, b, a])
    np.testing.assert_array_equal(y.data, function(parts), strict=True)
    w = np.arange(1.0, y.size + 1).reshape(y.shape)
    (y * w).sum().backward()
    # The weight of an entry is where it ended up.
    zero, one = np.zeros_like(x), np.ones_like(x)
    assert np.sum(a.grad) == np.sum(w * function([one, zero, zero, one]))
    assert np.sum(b.grad) == np.sum(w * function([zero, zero, one, zero]))


@pytest.mark.parametrize("function", JOINS[2:])
def test_numbers_and_lists_join_in(function):
    t = leaf(3.0)
    y = function([t, 2.0])
    np.testing.assert_array_equal(y.data, function([3.0, 2.0]), strict=True)
    y.sum().backward()
    assert t.grad == 1


@pytest.mark.parametrize(("axis", "shape"), [(0, (2, 2)), (-1, (1, 4)), (None, (4,))])
def test_arrays_of_several_dtypes_join_in_the_larger_and_get_their_own_back(axis, shape):
    a = Tensor(np.ones((1, 2), np.float32), requires_grad=True)
    b = Tensor(np.ones((1, 2), np.float64), requires_grad=True)
    y = concatenate([a, b], axis)
    y.sum().backward()
    assert (y.shape, y.dtype) == (shape, np.float64)
    assert (a.grad.dtype, b.grad.dtype) == (np.float32, np.float64)


SPLITS = [
    (np.split, M, 3),
    (np.split, M, [1, 1, 7]),
    (np.split, M, [-1]),
    (np.array_split, M, 2),
    (np.array_split, V, 7),
    (np.hsplit, M, 2),
    (np.hsplit, V, [3]),
    (np.vsplit, M, (1, 2)),
    (np.dsplit, X, 4),
]


@pytest.mark.parametrize(("function", "x", "cuts"), SPLITS)
def test_the_parts_of_an_array_are_numpys_and_have_its_graph(function, x, cuts):
    t, counts = leaf(x), np.zeros_like(x)
    for i, (part, expected, count) in enumerate(
        zip(function(t, cuts), function(x, cuts), function(counts, cuts), strict=True)
    ):
        np.testing.assert_array_equal(part.data, expected, strict=True)
        (i * part).sum().backward()
        count += i
    np.testing.assert_array_equal(t.grad, counts)


def test_unstacking_undoes_stacking():
    t = leaf(X)
    parts = unstack(t, -1)
    assert [part.shape for part in parts] == [(2, 3)] * 4
    np.testing.assert_array_equal(np.stack(parts, -1).data, X)


@pytest.mark.parametrize("n", [1, 5, 12])
def test_unstacking_sends_each_part_its_own_gradient(n):
    t = leaf(np.ones((2, n)))
    for i, part in enumerate(unstack(t, 1)):
        (i * part).sum().backward()
    np.testing.assert_array_equal(t.grad, [range(n)] * 2)


BLOCKS = [
    ([[M, M[:, :1]], [M[:1], M[:1, :1]]], 2),
    ([V, 2.0 * V], 1),
    ([[V], [M]], 2),
    ([[[X], [X]]], 3),
    (X, 0),
    ([[1.0, 2.0], [3.0, 4.0]], 2),
]


def on_leaves(blocks):
    return [on_leaves(b) for b in blocks] if isinstance(blocks, list) else leaf(blocks)


@pytest.mark.parametrize(("blocks", "depth"), BLOCKS)
def test_blocks_are_put_together_as_in_numpy(blocks, depth):
    y = np.block(on_leaves(blocks))
    np.testing.assert_array_equal(y.data, np.block(blocks), strict=True)
    assert y.requires_grad


def test_every_entry_of_a_block_gets_its_gradient():
    gradcheck(lambda a, b: np.block([[a, b], [b, a]]) ** 2, M, M * 2, order=2)


INSERTIONS = [
    (V, 1, 5.0, None),
    (M, [0, 2], 5.0, 1),
    (M, [-1], 5.0, 0),
    (M, 1, M[:2], 0),
    (M, 1, [1.0, 2.0, 3.0], 1),
    (M, [1, 3], M[:, :2], 1),
    (M, slice(0, 2), V, 0),
    (X, 4, 1.0, 2),
]


@pytest.mark.parametrize(("x", "places", "values", "axis"), INSERTIONS)
def test_insertions_are_numpys_and_differentiable_by_both(x, places, values, axis):
    expected = np.insert(x, places, values, axis)
    y = np.insert(leaf(x), places, values, axis)
    np.testing.assert_array_equal(y.data, expected, strict=True)
    gradcheck(lambda x, v: np.insert(x, places, v, axis) ** 2, x, np.asarray(values), order=2)


def test_a_mask_says_where_to_insert():
    assert np.insert(leaf([1.0, 2.0, 3.0]), [True, False, True], 0.0).tolist() == [0, 1, 2, 0, 3]


@pytest.mark.parametrize(
    ("x", "places", "axis"),
    [(V, 1, None), (M, [0, -1], 1), (M, slice(1, None), 0), (X, 2, -1), (V, V > 3, 0)],
)
def test_deletions_are_numpys_and_leave_no_gradient(x, places, axis):
    t = leaf(x)
    y = np.delete(t, places, axis)
    np.testing.assert_array_equal(y.data, np.delete(x, places, axis), strict=True)
    y.sum().backward()
    assert np.sum(t.grad) == y.size


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("of_row", [np.sum, np.cumsum, lambda row: np.outer(row, row[:2])])
def test_a_function_of_vectors_applies_to_the_rows_along_an_axis(axis, of_row):
    y = np.apply_along_axis(of_row, axis, leaf(X))
    np.testing.assert_array_equal(y.data, np.apply_along_axis(of_row, axis, X))
    gradcheck(lambda x: np.apply_along_axis(of_row, axis, x), X)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda t: np.insert(t, 99, 0.0), IndexingError, r"insert into shape \(12,\) along 0"),
        (lambda t: np.insert(t, 1, t, 1), ShapeError, "broadcast"),
        (lambda t: np.delete(t, 9, 0), IndexingError, r"delete from shape \(3, 4\) along 0"),
        (lambda t: np.block([[t], t]), ShapeError, "equally deep"),
        (lambda t: np.block([t, []]), ShapeError, "not empty"),
        (lambda t: np.apply_along_axis(np.sum, 1, t[:0]), ShapeError, "no rows"),
    ],
)
def test_what_cannot_be_joined_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call(leaf(M))
