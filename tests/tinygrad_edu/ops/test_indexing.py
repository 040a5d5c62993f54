"""Taking entries out by every kind of index that NumPy has, and changing them."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import IndexingError, OperandError, ShapeError, Tensor, getitem
from tinygrad_edu.ops.indexing import gather, index_add, index_set
from tinygrad_edu.testing import gradcheck


def leaf(data):
    return Tensor(np.array(data, dtype=np.float64), requires_grad=True)


TWICE_THE_FIRST = [
    np.array([0, 0]),
    [0, 0],
    ((0, 0),),
    (np.array([0, -3]),),
    Tensor(np.array([0, 0])),
    (Tensor(np.array([0, 0])),),
    np.array([[0], [0]], dtype=np.uint8),
]


@pytest.mark.parametrize("rows", [np.arange(-200, 200), np.full((9, 50), 7, np.uint8), np.array(3)])
@pytest.mark.parametrize("width", [3, 5000])
def test_scattering_many_rows_adds_up_those_that_come_twice(rows, width):
    x, expected = np.random.default_rng(0).normal(size=(*rows.shape, width)), np.zeros((300, width))
    np.add.at(expected, rows, x)
    np.testing.assert_allclose(tg.scatter(x, (300, width), rows), expected)


def test_scattering_many_rows_still_checks_where_they_go():
    with pytest.raises(IndexingError, match="300"):
        tg.scatter(leaf(np.ones((2, 5000))), (300, 5000), np.array([0, 300]))


@pytest.mark.parametrize("index", TWICE_THE_FIRST)
def test_an_entry_that_is_taken_twice_gets_its_gradient_twice(index):
    for take in (getitem, Tensor.__getitem__):
        x = leaf([5.0, 6.0, 7.0])
        take(x, index).sum().backward()
        assert x.grad.tolist() == [2, 0, 0]


@pytest.mark.parametrize(
    "index",
    [
        0,
        np.int64(-1),
        slice(None, None, -2),
        ...,
        None,
        (..., None, 1),
        [True, False, True],
        np.array([True, False, True]),
        (np.array([2, 0]), slice(1, None)),
        (slice(None), [1, 0]),
        np.zeros((3, 2), bool),
        (),
        range(2),
    ],
)
def test_indexing_is_numpys_and_its_gradient_counts_the_places(index):
    x = leaf(np.arange(6.0).reshape(3, 2))
    y = x[index]
    np.testing.assert_array_equal(y.data, x.data[index], strict=True)
    y.sum().backward()
    counts = np.zeros_like(x.data)
    np.add.at(counts, index, 1)
    np.testing.assert_array_equal(x.grad, counts)


def test_iteration_gives_the_rows_with_their_graph():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    first, second = x
    (first * 10 + second).sum().backward()
    assert x.grad.tolist() == [[10, 10], [1, 1]]


@pytest.mark.parametrize("index", [3, (0, 0), np.array([7]), 1.5, "a"])
def test_a_bad_index_names_the_op_the_index_and_the_shape(index):
    with pytest.raises(IndexingError, match=r"getitem cannot take shape \(3,\) with index=") as e:
        leaf([1.0, 2.0, 3.0])[index]
    assert repr(index) in str(e.value)


X = np.arange(12.0).reshape(3, 4)


def assert_takes(y, t, expected, places):
    """Whether y is as expected, and each entry of t gets its gradient once for each time taken."""
    np.testing.assert_array_equal(y.data, expected, strict=True)
    y.sum().backward()
    np.testing.assert_array_equal(
        t.grad, np.bincount(places.ravel(), minlength=t.size).reshape(t.shape)
    )


PLACES = np.arange(X.size).reshape(X.shape)


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("indices", [2, [0, 0, -1], np.array([[1], [2]]), Tensor(np.array([1]))])
def test_taking_along_an_axis_is_numpys(axis, indices):
    t, plain = leaf(X), np.asarray(indices)
    assert_takes(
        np.take(t, indices, axis), t, np.take(X, plain, axis), np.take(PLACES, plain, axis)
    )


@given(data=st.data())
def test_taking_one_entry_for_each_is_numpys(data):
    axis = data.draw(st.sampled_from([0, 1, -1]))
    shape = data.draw(st.sampled_from([(2, 4), (1, 4)] if axis == 0 else [(3, 2), (1, 2)]))
    n = X.shape[axis]
    indices = data.draw(hnp.arrays(np.int64, shape, elements=st.integers(-n, n - 1)))
    t = leaf(X)
    assert_takes(
        np.take_along_axis(t, indices, axis),
        t,
        np.take_along_axis(X, indices, axis),
        np.take_along_axis(PLACES, indices, axis),
    )


def test_taking_along_no_axis_takes_from_all_laid_out_flat():
    t, places = leaf(X), np.array([5, 5, -1])
    assert_takes(np.take_along_axis(t, places, None), t, X.ravel()[places], PLACES.ravel()[places])


def test_gather_is_pytorchs():
    # The example of torch.gather's documentation.
    t = leaf([[1.0, 2.0], [3.0, 4.0]])
    assert gather(t, 1, np.array([[0, 0], [1, 0]])).tolist() == [[1, 1], [4, 3]]
    # A shorter index takes from the first columns; it does not broadcast.
    t = leaf(X)
    gather(t, 0, np.array([[2, 0], [2, 1]])).sum().backward()
    assert t.grad.tolist() == [[0, 1, 0, 0], [0, 1, 0, 0], [2, 0, 0, 0]]


@pytest.mark.parametrize("axis", [None, 1])
def test_compressing_and_extracting_keep_what_meets_the_condition(axis):
    condition = [True, False, True]
    t = leaf(X)
    assert_takes(
        np.compress(condition, t, axis),
        t,
        np.compress(condition, X, axis),
        np.compress(condition, PLACES, axis),
    )
    t = leaf(X)
    assert_takes(np.extract(t > 7, t), t, np.extract(X > 7, X), np.extract(X > 7, PLACES))


def test_the_first_choice_whose_condition_holds_is_selected():
    a, b, default = leaf([1.0, 2.0, 3.0]), leaf(10.0), leaf(-1.0)
    y = np.select([a > 2, a > 1], [a, b], default)
    assert y.tolist() == [-1, 10, 3]
    y.sum().backward()
    assert (a.grad.tolist(), b.grad, default.grad) == ([0, 0, 1], 1, 1)
    with pytest.raises(OperandError, match="2 conditions and 1 choices"):
        np.select([a > 2, a > 1], [a])


def test_places_of_entries_that_are_not_zero_are_plain_indices():
    x = np.array([[0.0, 2.0], [3.0, 0.0]])
    for function in (np.nonzero, np.flatnonzero, np.argwhere):
        np.testing.assert_array_equal(function(leaf(x)), function(x))


# Assignment as a function


@pytest.mark.parametrize(
    "index",
    [0, (1, 2), slice(None, None, 2), (..., -1), X > 5, ([0, 2], [1, 1]), np.array([2, 0]), ()],
)
def test_setting_is_assignment_to_a_copy_and_adding_is_in_place_addition(index):
    value = np.arange(100.0, 100 + X[index].size).reshape(X[index].shape)
    for function, by_x in ((index_set, 0), (index_add, 1)):
        t, v = leaf(X), leaf(value)
        expected = X.copy()
        expected[index] = value + by_x * X[index]
        y = function(t, index, v)
        np.testing.assert_array_equal(y.data, expected, strict=True)
        assert not np.shares_memory(y.data, t.data)
        (y * X).sum().backward()
        expected = X.copy()
        expected[index] *= by_x
        np.testing.assert_array_equal(t.grad, expected)
        np.testing.assert_array_equal(v.grad, X[index])


def test_of_values_set_at_one_place_the_last_wins_and_gets_the_gradient():
    x, value = leaf([0.0, 0.0, 0.0]), leaf([1.0, 2.0, 3.0])
    y = index_set(x, [1, 1, 0], value)
    assert y.tolist() == [3, 2, 0]
    (y * [10.0, 100.0, 1000.0]).sum().backward()
    assert value.grad.tolist() == [0, 100, 10]
    assert x.grad.tolist() == [0, 0, 1000]


@given(data=st.data())
def test_the_last_value_wins_whichever_way_the_index_lies_in_memory(data):
    rows, columns = (
        data.draw(hnp.arrays(np.int64, (2, 3), elements=st.integers(0, 1))).T for _ in range(2)
    )
    value = np.arange(6.0).reshape(3, 2)
    expected = np.full((2, 2), -1.0)
    for i, j, v in zip(rows.flat, columns.flat, value.flat, strict=True):
        expected[i, j] = v
    v = leaf(value)
    y = index_set(np.full((2, 2), -1.0), (rows, columns), v)
    assert y.tolist() == expected.tolist()
    y.sum().backward()
    np.testing.assert_array_equal(v.grad, np.isin(value, expected))


def test_values_added_at_one_place_add_up_and_each_gets_the_gradient():
    x, value = leaf([1.0, 1.0]), leaf([2.0, 3.0])
    y = index_add(x, [1, 1], value)
    assert y.tolist() == [1, 6]
    (y * [10.0, 100.0]).sum().backward()
    assert (x.grad.tolist(), value.grad.tolist()) == ([10, 100], [100, 100])


@pytest.mark.parametrize(
    ("function", "shape"),
    # Assignment, unlike addition in place, drops leading axes of length 1.
    [(index_set, ()), (index_set, (1,)), (index_set, (1, 1)), (index_add, ()), (index_add, (1,))],
)
def test_a_value_broadcasts_and_its_gradient_adds_up(function, shape):
    value = leaf(np.full(shape, 5.0))
    function(np.zeros(3), slice(1, None), value).sum().backward()
    assert value.grad.tolist() == np.full(shape, 2.0).tolist()


@pytest.mark.parametrize("function", [index_set, index_add])
def test_dtypes_promote_and_gradients_come_back_in_their_own(function):
    x = Tensor(np.zeros(3, np.float32), requires_grad=True)
    assert function(x, 0, 1.0).dtype == np.float32
    value = Tensor(np.ones(1, np.float64), requires_grad=True)
    y = function(x, [0], value)
    y.sum().backward()
    assert (y.dtype, x.grad.dtype, value.grad.dtype) == (np.float64, np.float32, np.float64)
    assert function(np.zeros(2, int), 0, leaf(0.5)).tolist() == [0.5, 0]  # not rounded


@pytest.mark.parametrize(
    "call",
    [
        lambda t, i: np.take(t, i, 0),
        lambda t, i: gather(t, 0, i),
        lambda t, i: np.take_along_axis(t, i, 0),
        lambda t, i: index_set(np.zeros(3), i, t),
        lambda t, i: index_add(np.zeros(3), i, t),
    ],
)
def test_an_index_that_is_changed_before_backward_does_not_change_the_gradient(call):
    t, i = leaf([1.0, 2.0, 3.0]), np.array([2, 1, 2])
    y = call(t, i)
    before = t.data.copy()
    (y * [10.0, 100.0, 1000.0]).sum().backward()
    kept, t.grad = t.grad, None
    y = call(t, i)
    i[:] = 0
    (y * [10.0, 100.0, 1000.0]).sum().backward()
    assert t.grad.tolist() == kept.tolist()
    assert t.data.tolist() == before.tolist()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda t: np.take(t, [7], 0), IndexingError, r"\(3, 4\).*index 7 is out of bounds"),
        (lambda t: np.take(t, [0], 2), IndexingError, r"take cannot take axis=2 .*from -2 to 1"),
        (lambda t: np.take(t, [0.5]), IndexingError, "take takes integers .*not float64"),
        (
            lambda t: np.take_along_axis(t, np.array([0]), 0),
            ShapeError,
            r"index of shape \(1,\) from shape \(3, 4\): it needs 2 axes",
        ),
        (lambda t: gather(t, 0, np.zeros((1, 5), int)), ShapeError, r"gather .*no longer than"),
        (lambda t: gather(t, 2, np.zeros((1, 1), int)), IndexingError, "gather .*axis=2"),
        (lambda t: gather(t, 0, [[True]]), IndexingError, "gather takes integers .*not bool"),
        (lambda t: index_set(t, 7, 0.0), IndexingError, "set_at .*index=7"),
        (lambda t: index_set(t, 0, np.ones(3)), ShapeError, r"set_at .*\(3, 4\) and shape \(3,\)"),
        (lambda t: index_add(t, [0], np.ones(3)), ShapeError, r"add_at .*shape \(3,\)"),
        (lambda t: np.take(t, 0, 0.5), OperandError, "one integer as axis=, not 0.5"),
    ],
)
def test_an_index_or_value_that_does_not_fit_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call(leaf(X))


def test_choices_by_number_are_numpys_and_differentiable():
    places, choices = np.array([[0, 2], [1, 0]]), [np.array([1.0, 2.0]), 5.0, np.eye(2)]
    y = np.choose(places, [leaf(c) for c in choices])
    np.testing.assert_array_equal(y.data, np.choose(places, choices))
    gradcheck(lambda *cs: np.choose(places, cs), *map(np.asarray, choices))
    with pytest.raises(IndexingError, match="from 0 to 1, one for a choice"):
        np.choose(places, [leaf(1.0), leaf(2.0)])


def test_counts_are_plain_and_weighted_ones_differentiable():
    places, weights = np.array([1, 3, 1]), np.array([0.5, 2.0, 1.5])
    assert np.bincount(Tensor(places)).tolist() == [0, 2, 0, 1]
    y = np.bincount(places, leaf(weights), minlength=6)
    np.testing.assert_array_equal(y.data, np.bincount(places, weights, minlength=6))
    gradcheck(lambda w: np.bincount(places, w), weights)


@pytest.mark.parametrize(
    ("x", "weights", "message"),
    [
        ([0.5], None, "bincount takes integers"),
        ([-1], None, "negative"),
        ([[1]], None, "a vector"),
        ([1, 2], [1.0], "weights of its shape"),
    ],
)
def test_what_cannot_be_counted_is_named(x, weights, message):
    with pytest.raises((IndexingError, ShapeError), match=message):
        tg.bincount(x, weights)
