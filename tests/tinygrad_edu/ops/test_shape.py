"""Reshapes, permutations, borders, diagonals, sorting and conversions."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import (
    DTypeError,
    GradientLostError,
    IndexingError,
    OperandError,
    ShapeError,
    Tensor,
    UnknownNameError,
)
from tinygrad_edu.ops.declare import NUMPY_FUNCTIONS


def leaf(data):
    return Tensor(np.array(data, dtype=np.float64), requires_grad=True)


def test_shapes_are_given_as_arguments_or_as_a_tuple():
    x = leaf(np.arange(6.0))
    assert x.reshape(2, 3).shape == x.reshape((2, -1)).shape == (2, 3)
    assert x.broadcast_to(2, 6).shape == x.broadcast_to((2, 6)).shape == (2, 6)
    assert x.reshape(1, 2, 3).transpose(2, 0, 1).shape == (3, 1, 2)


def test_transposes_are_numpys():
    x = leaf(np.arange(24.0).reshape(2, 3, 4))
    np.testing.assert_array_equal(x.T.data, x.data.T)
    np.testing.assert_array_equal(x.mT.data, x.data.mT)
    np.testing.assert_array_equal(x.transpose().data, x.data.transpose())


def test_a_vector_has_no_matrix_transpose():
    with pytest.raises(ShapeError, match=r"shape \(3,\) has fewer than two axes"):
        _ = leaf([1.0, 2.0, 3.0]).mT


def test_a_gradient_comes_back_in_the_dtype_of_each_tensor():
    half = Tensor(np.ones(2, np.float16), requires_grad=True)
    (half.astype(np.float64) * 0.1).sum().backward()
    assert half.grad.dtype == np.float16
    assert half.grad[0] == np.float16(0.1)


def test_conversion_to_integers_leaves_nothing_to_differentiate():
    x = leaf([1.5])
    for dtype in (np.int64, bool):
        assert not x.astype(dtype).requires_grad


def test_a_tensor_is_not_converted_to_complex_numbers():
    with pytest.raises(DTypeError, match="astype gave complex128, and a Tensor holds real numbers"):
        leaf([1.0]).astype(complex)


# What NumPy's functions make of an array: each call is made on the array and on a Tensor of it.
X = np.arange(24.0).reshape(2, 3, 4)[:, ::-1] % 7
M = X[0]
V = M[0]
CALLS = {
    "ravel": (np.ravel, X, {}),
    "ravel in Fortran's order": (np.ravel, X, {"order": "F"}),
    "expand_dims": (np.expand_dims, X, {"axis": (0, -1)}),
    "squeeze": (np.squeeze, X[:, :1], {}),
    "squeeze one axis": (np.squeeze, X[:1, :1], {"axis": 1}),
    "swapaxes": (np.swapaxes, X, {"axis1": 0, "axis2": -1}),
    "moveaxis": (np.moveaxis, X, {"source": (0, 1), "destination": (-1, 0)}),
    "rollaxis": (np.rollaxis, X, {"axis": 2}),
    "rollaxis to the end": (np.rollaxis, X, {"axis": 0, "start": 3}),
    "rollaxis from behind": (np.rollaxis, X, {"axis": -3, "start": -1}),
    "permute_dims": (np.permute_dims, X, {"axes": (2, 0, 1)}),
    "matrix_transpose": (np.matrix_transpose, X, {}),
    "flip": (np.flip, X, {}),
    "flip two axes": (np.flip, X, {"axis": (0, -1)}),
    "fliplr": (np.fliplr, X, {}),
    "flipud": (np.flipud, V, {}),
    "roll flat": (np.roll, X, {"shift": -5}),
    "roll axes": (np.roll, X, {"shift": (1, 2), "axis": (0, 2)}),
    "rot90": (np.rot90, M, {}),
    "rot90 never": (np.rot90, M, {"k": 4}),
    "rot90 twice": (np.rot90, M, {"k": -2}),
    "rot90 in another plane": (np.rot90, X, {"k": 3, "axes": (2, 0)}),
    "sort": (np.sort, X, {}),
    "sort flat": (np.sort, X, {"axis": None}),
    "sort columns": (np.sort, X, {"axis": 0, "kind": "stable"}),
    "tile": (np.tile, X, {"reps": 2}),
    "tile more axes": (np.tile, M, {"reps": (2, 1, 3)}),
    "tile fewer axes": (np.tile, X, {"reps": (2, 0)}),
    "repeat": (np.repeat, X, {"repeats": 2}),
    "repeat each along an axis": (np.repeat, X, {"repeats": [2, 0, 1], "axis": -2}),
    "atleast_1d": (np.atleast_1d, X, {}),
    "atleast_1d of a number": (np.atleast_1d, np.array(3.0), {}),
    "atleast_2d of a number": (np.atleast_2d, np.array(3.0), {}),
    "atleast_2d of a vector": (np.atleast_2d, V, {}),
    "atleast_3d of a number": (np.atleast_3d, np.array(3.0), {}),
    "atleast_3d of a vector": (np.atleast_3d, V, {}),
    "atleast_3d of a matrix": (np.atleast_3d, M, {}),
    "pad": (np.pad, X, {"pad_width": 1}),
    "pad with numbers": (
        np.pad,
        M,
        {"pad_width": ((0, 1), (2, 3)), "mode": "constant", "constant_values": ((1, 2), (3, 4))},
    ),
    "pad edge": (np.pad, X, {"pad_width": (2, 3), "mode": "edge"}),
    "pad reflect": (np.pad, M, {"pad_width": 5, "mode": "reflect"}),
    "pad symmetric": (np.pad, M, {"pad_width": 5, "mode": "symmetric"}),
    "pad wrap": (np.pad, M, {"pad_width": ((1, 0), (6, 2)), "mode": "wrap"}),
    "diag": (np.diag, M, {"k": -1}),
    "diag of a vector": (np.diag, V, {}),
    "diag above": (np.diag, V, {"k": 2}),
    "diag below": (np.diag, V, {"k": -1}),
    "diagflat": (np.diagflat, M, {"k": 1}),
    "diagonal": (np.diagonal, X, {"offset": 1, "axis1": 2, "axis2": 0}),
    "a diagonal outside": (np.diagonal, M, {"offset": -9}),
    "trace": (np.trace, X, {"offset": -1, "axis1": -2, "axis2": -1}),
    "tril": (np.tril, X, {"k": 1}),
    "triu": (np.triu, X, {"k": -1}),
    "tril of a vector": (np.tril, V, {}),
    "diff": (np.diff, X, {}),
    "diff twice": (np.diff, X, {"n": 2, "axis": 0}),
    "diff not at all": (np.diff, X, {"n": 0}),
    "diff with ends": (np.diff, X, {"axis": 1, "prepend": 1.0, "append": X[:, :1]}),
    "append": (np.append, X, {"values": [1.0, 2.0]}),
    "append along an axis": (np.append, X, {"values": X, "axis": 1}),
    "copy": (np.copy, X, {}),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_rearrangement_is_numpys_on_tensors_and_arrays_and_keeps_the_dtype(name):
    function, x, options = CALLS[name]
    expected = function(x, **options)
    y = function(leaf(x), **options)
    assert y.requires_grad
    np.testing.assert_array_equal(y.data, expected, strict=True)
    plain = NUMPY_FUNCTIONS[function](x, **options)
    assert not isinstance(plain, Tensor)
    np.testing.assert_array_equal(plain, expected)
    if not {"values", "append"} & options.keys():
        single = Tensor(x.astype(np.float32), requires_grad=True)
        y = function(single, **options)
        y.sum().backward()
        assert y.dtype == single.grad.dtype == np.float32


@pytest.mark.parametrize("name", [name for name in CALLS if "sort" not in name])
def test_the_gradient_of_a_rearrangement_is_its_transpose(name):
    function, x, options = CALLS[name]
    # f(x) = A x + b, so that ∂(w · f)/∂x = Aᵀ w, and (Aᵀ w) · d = w · (f(d) - f(0)).
    rng = np.random.default_rng(0)
    t, d = leaf(x), rng.normal(size=x.shape)
    y = function(t, **options)
    w = rng.normal(size=y.shape)
    (y * w).sum().backward()
    change = function(d, **options) - function(0 * x, **options)
    np.testing.assert_allclose(np.sum(t.grad * d), np.sum(w * change), atol=1e-12)


@given(data=st.data())
def test_entries_that_are_sorted_take_their_gradient_along(data):
    shape = data.draw(hnp.array_shapes(max_dims=2, max_side=4, min_side=0))
    x = data.draw(hnp.arrays(np.float64, shape, elements=st.sampled_from([1.0, 2.0, 3.0])))
    axis = data.draw(st.none() | st.integers(-x.ndim, x.ndim - 1))
    t = leaf(x)
    y = np.sort(t, axis=axis)
    np.testing.assert_array_equal(y.data, np.sort(x, axis=axis))
    (y * y).sum().backward()
    np.testing.assert_array_equal(t.grad, 2 * x)


def test_entries_that_tie_stay_in_order():
    t = leaf([2.0, 1.0, 2.0])
    (np.sort(t) * [1.0, 10.0, 100.0]).sum().backward()
    assert t.grad.tolist() == [10, 1, 100]
    assert np.isnan(np.sort(leaf([np.nan, 1.0])).data).tolist() == [False, True]


@pytest.mark.parametrize(("kth", "axis"), [(1, -1), (-1, 0), ([0, 2], 1), (7, None)])
def test_a_partition_has_the_kth_entry_in_place_and_smaller_ones_before(kth, axis):
    x = np.array([[3.0, 1.0, 2.0], [5.0, 9.0, 4.0], [8.0, 7.0, 6.0]])
    t = leaf(x)
    y = np.partition(t, kth, axis)
    places, axis = np.atleast_1d(kth), 0 if axis is None else axis
    for k in places:
        np.testing.assert_array_equal(
            np.take(y.data, k, axis), np.take(np.sort(x, None if y.ndim == 1 else axis), k, axis)
        )
    (y * y).sum().backward()
    np.testing.assert_array_equal(t.grad, 2 * x)


@pytest.mark.parametrize("options", [{}, {"indexing": "ij"}, {"sparse": True}, {"copy": False}])
@pytest.mark.parametrize("lengths", [(2, 3), (2, 3, 4), (3,), (0, 2)])
def test_grids_are_numpys(options, lengths):
    axes = [np.arange(float(n)) for n in lengths]
    grids = np.meshgrid(*map(leaf, axes), **options)
    for grid, expected in zip(grids, np.meshgrid(*axes, **options), strict=True):
        np.testing.assert_array_equal(grid.data, expected, strict=True)


def test_a_coordinate_of_a_grid_counts_each_line():
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0, 5.0])
    first, second = np.meshgrid(x, y)
    (first * 10 + second).sum().backward()
    assert (x.grad.tolist(), y.grad.tolist()) == ([30, 30], [2, 2, 2])


def test_arrays_broadcast_together_and_their_gradients_add_up():
    x, y = leaf([[1.0], [2.0]]), leaf([3.0, 4.0, 5.0])
    a, b, c = np.broadcast_arrays(x, y, 1.0)
    assert a.shape == b.shape == c.shape == (2, 3)
    (a * b).sum().backward()
    assert (x.grad.tolist(), y.grad.tolist()) == ([[12], [12]], [3, 3, 3])
    with pytest.raises(ShapeError, match=r"broadcast_arrays cannot take shapes \(2,\), \(3,\)"):
        np.broadcast_arrays(x[:, 0], y)


def test_several_arrays_gain_their_axes_at_once():
    one, two = np.atleast_2d(leaf(3.0), [1.0, 2.0])
    assert (one.shape, two.shape) == ((1, 1), (1, 2))


@pytest.mark.parametrize("function", [np.zeros_like, np.ones_like, np.empty_like])
def test_a_constant_like_a_tensor_is_a_tensor_without_a_graph(function):
    t = Tensor(np.ones((2, 3), np.float16), requires_grad=True)
    y = function(t)
    assert (type(y), y.shape, y.dtype, y.requires_grad) == (Tensor, (2, 3), np.float16, False)
    y = function(t, dtype=np.float64, shape=(1,))
    assert (y.shape, y.dtype) == ((1,), np.float64)


def test_a_tensor_is_filled_with_constants_only():
    t = leaf([1.0, 2.0])
    assert np.full_like(t, 7).tolist() == [7, 7]
    assert np.full_like(t, t.detach()).tolist() == [1, 2]
    with pytest.raises(GradientLostError, match="use broadcast_to"):
        np.full_like(t, t.sum())


def test_numpy_tells_the_shape_of_a_tensor():
    t = leaf(X)
    assert (np.shape(t), np.ndim(t), np.size(t), np.size(t, 1)) == ((2, 3, 4), 3, 24, 3)


def test_a_copy_has_memory_of_its_own():
    t = leaf(V)
    y = np.copy(t)
    y.sum().backward()
    assert not np.shares_memory(y.data, t.data)
    assert t.grad.tolist() == [1] * len(V)


def test_numpys_conversion_is_the_method():
    t = leaf(V)
    y = np.astype(t, np.float32)
    assert y.dtype == np.float32
    assert y.requires_grad


def test_paddings_are_given_by_axis_too():
    y = np.pad(leaf(M), {-1: (1, 2)}, constant_values=9)
    np.testing.assert_array_equal(
        y.data, np.pad(M, ((0, 0), (1, 2)), constant_values=9), strict=True
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda t: np.reshape(t, (5, 5)), ShapeError, r"reshape .*\(3, 4\).*size 12 into"),
        (lambda t: np.reshape(t, -1, "K"), UnknownNameError, "order of reshape 'K'.*Known: C, F"),
        (lambda t: np.squeeze(t, 0), ShapeError, r"squeeze .*\(3, 4\).*not equal to one"),
        (lambda t: np.swapaxes(t, 0, 2), IndexingError, r"swapaxes .*axis2=2"),
        (lambda t: np.moveaxis(t, 5, 0), IndexingError, r"moveaxis .*source=5"),
        (lambda t: np.rollaxis(t, 5), IndexingError, r"rollaxis .*axis=5 of shape \(3, 4\)"),
        (lambda t: np.matrix_transpose(t[0]), ShapeError, r"matrix_transpose needs two axes"),
        (lambda t: np.fliplr(t[0]), ShapeError, "fliplr needs two axes.*use flip"),
        (lambda t: np.flipud(t[0, 0]), ShapeError, "flipud needs an axis"),
        (lambda t: np.roll(t, 1, 7), IndexingError, "roll .*axis=7"),
        (lambda t: np.rot90(t, 1, (0, 0)), ShapeError, "are the same one"),
        (lambda t: np.rot90(t, 1, (0,)), ShapeError, "plane of two axes"),
        (lambda t: np.sort(t, 2), IndexingError, "sort .*axis=2"),
        (lambda t: np.partition(t, 9), ShapeError, r"partition .*\(3, 4\).*kth"),
        (lambda t: np.split(t, 2), ShapeError, "3 entries along axis 0 into 2 equal.*array_split"),
        (lambda t: np.split(t, 0), ShapeError, "into 0 equal"),
        (lambda t: np.array_split(t, 0), ShapeError, "one part or more, not 0"),
        (lambda t: np.vsplit(t[0], 1), ShapeError, "vsplit needs two axes"),
        (lambda t: np.dsplit(t, 1), ShapeError, "dsplit needs three axes"),
        (lambda t: np.stack([t, t[0]]), ShapeError, r"stack .*\(3, 4\) and shape \(4,\)"),
        (lambda t: np.concatenate([t, t[0]]), ShapeError, r"concatenate .*\(3, 4\) and"),
        (lambda t: np.repeat(t, [1, 2], 0), ShapeError, r"repeat .*repeats=\[1, 2\]"),
        (lambda t: np.broadcast_to(t, (2, 2)), ShapeError, r"broadcast_to .*\(3, 4\)"),
        (lambda t: np.pad(t, 1, "mean"), UnknownNameError, "'mean'.*Known: constant, edge, ref"),
        (lambda t: np.pad(t, [(1, 2, 3)]), ShapeError, r"pad .*\(3, 4\)"),
        (lambda t: np.pad(t[:0], 1, "edge"), ShapeError, r"pad .*\(0, 4\)"),
        (lambda t: np.pad(t, 1, constant_values=t[0, 0]), GradientLostError, "constant_values"),
        (lambda t: np.diag(t.reshape((3, 2, 2))), ShapeError, "diag .*use diagonal"),
        (lambda t: np.diagonal(t[0]), ShapeError, r"diagonal .*\(4,\)"),
        (lambda t: np.diff(t, -1), ShapeError, "not -1"),
        (lambda t: np.gradient(t[:1], axis=0), ShapeError, "gradient .*takes 2 samples or more"),
        (lambda t: np.gradient(t, 1.0, 2.0, axis=0), ShapeError, "1 axes .*not 2"),
        (lambda t: np.gradient(t, edge_order=3), OperandError, "edge_order=1 or 2, not 3"),
        (lambda t: np.meshgrid(t[0], indexing="yx"), UnknownNameError, "'yx'. Known: ij, xy"),
    ],
)
def test_what_does_not_fit_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call(leaf(M))


def test_reshape_in_fortrans_order_is_numpys_and_its_gradient_comes_back_in_place():
    t = leaf(X)
    y = np.reshape(t, (4, -1), order="F")
    np.testing.assert_array_equal(y.data, np.reshape(X, (4, -1), order="F"))
    (y * y.data).sum().backward()
    np.testing.assert_array_equal(t.grad, X)
