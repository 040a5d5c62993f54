"""Sums, products, extremes, variances and averages, and what accumulates along an axis."""

import math

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import IndexingError, OperandError, ShapeError, Tensor
from tinygrad_edu.ops import reduction
from tinygrad_edu.testing import gradcheck

REDUCTIONS = [
    (reduction.sum, np.sum),
    (reduction.mean, np.mean),
    (reduction.max, np.max),
    (reduction.min, np.min),
    (reduction.prod, np.prod),
    (reduction.var, np.var),
    (reduction.std, np.std),
]
METHODS = [(tg.sum, np.sum), (tg.mean, np.mean), (tg.max, np.max)]


def leaf(data):
    return Tensor(np.array(data, dtype=np.float64), requires_grad=True)


def gradient(f, *data):
    """∂(Σ f)/∂input for each of the inputs."""
    inputs = [leaf(x) for x in data]
    f(*inputs).sum().backward()
    return inputs[0].grad.tolist() if len(inputs) == 1 else [x.grad.tolist() for x in inputs]


@st.composite
def an_array_and_axes(draw, min_side=1):
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=min_side, max_side=3))
    x = draw(hnp.arrays(np.float64, shape, elements=st.floats(-9, 9)))
    return x, draw(st.none() | hnp.valid_tuple_axes(x.ndim)), draw(st.booleans())


def assert_same(y, expected):
    np.testing.assert_array_equal(y.data, np.asarray(expected), strict=True)


@pytest.mark.parametrize(("op", "function"), REDUCTIONS)
@given(drawn=an_array_and_axes())
def test_a_reduction_is_numpys(op, function, drawn):
    x, axis, keepdims = drawn
    expected = function(x, axis=axis, keepdims=keepdims)
    t = leaf(x)
    for y in (op(t, axis=axis, keepdims=keepdims), function(t, axis=axis, keepdims=keepdims)):
        assert_same(y, expected)
        assert y.op is op


@pytest.mark.parametrize(("op", "function"), METHODS)
def test_a_reduction_is_a_method_too(op, function):
    x = leaf([[1.0, 5.0], [4.0, 3.0]])
    y = getattr(x, op.name)(1, True)
    assert_same(y, function(x.data, axis=1, keepdims=True))
    assert y.op is op


@pytest.mark.parametrize("op", [reduction.sum, reduction.prod])
@given(drawn=an_array_and_axes(min_side=0))
def test_sums_and_products_of_nothing_are_zero_and_one(op, drawn):
    x, axis, keepdims = drawn
    t = leaf(x)
    y = op(t, axis, keepdims)
    assert_same(y, getattr(np, op.name)(x, axis=axis, keepdims=keepdims))
    y.sum().backward()
    assert t.grad.shape == x.shape


@pytest.mark.parametrize(
    ("function", "options"),
    [
        (np.sum, {"initial": 2.0}),
        (np.prod, {"initial": 2.0}),
        (np.max, {"initial": 1.0}),
        (np.min, {"initial": 1.0}),
        (np.mean, {}),
        (np.var, {"ddof": 1}),
        (np.std, {"correction": 0.5}),
        (np.any, {}),
        (np.all, {}),
    ],
)
@pytest.mark.parametrize("axis", [None, 0, (0, 1)])
def test_a_mask_and_an_initial_value_are_numpys(function, options, axis):
    x = np.array([[1.5, 0.0, -1.0], [0.25, 4.0, 3.0], [2.0, 1.0, 0.5]])
    mask = np.array([[True, True, False], [True, True, True], [False, True, True]])
    y = function(leaf(x), axis=axis, where=mask, **options)
    expected = function(x, axis=axis, where=mask, **options)
    assert_same(y if isinstance(y, Tensor) else np.asarray(y), expected)


@pytest.mark.parametrize("op", [tg.max, reduction.min])
def test_entries_that_tie_for_an_extreme_share_the_gradient_evenly(op):
    sign = 1 if op is tg.max else -1
    x = leaf([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    op(x * sign, axis=1).sum().backward()
    np.testing.assert_allclose(sign * x.grad, [[0, 1 / 2, 1 / 2], [1 / 3, 1 / 3, 1 / 3]])


def test_the_gradient_of_an_extreme_goes_to_the_nan_that_it_is():
    assert gradient(tg.max, [1.0, math.nan, 3.0]) == [0, 1, 0]


def test_an_initial_value_that_wins_leaves_no_gradient():
    assert gradient(lambda x: tg.max(x, initial=5.0), [1.0, 3.0]) == [0, 0]
    assert gradient(lambda x: tg.max(x, initial=2.0), [1.0, 3.0]) == [0, 1]


@pytest.mark.parametrize(
    ("op", "function", "axis"),
    # Of a number, NumPy's sum and max take the axes 0 and -1; its mean does not.
    [(op, function, axis) for op, function in METHODS for axis in (None, ())]
    + [(op, function, axis) for op, function in METHODS[::2] for axis in (0, -1)],
)
def test_a_number_reduces_over_the_axes_that_numpy_allows(op, function, axis):
    x = leaf(3.0)
    y = op(x, axis=axis)
    assert y.data == function(x.data, axis=axis) == 3
    y.backward()
    assert x.grad == 1
    assert x.grad.shape == ()


DIFFERENTIABLE = [
    *(op for op, _ in REDUCTIONS),
    reduction.logsumexp,
    reduction.ptp,
    reduction.cumsum,
    reduction.cumprod,
]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=lambda op: op.__name__)
def test_a_reduction_keeps_its_dtype_forward_and_backward(op, dtype):
    x = Tensor(np.array([[1, 2, 4], [3, 0, 5]], dtype), requires_grad=True)
    y = op(x, axis=1)
    y.sum().backward()
    assert y.dtype == x.grad.dtype == dtype


@pytest.mark.parametrize("op", [tg.sum, tg.mean, tg.prod, tg.cumsum, tg.var, tg.std])
def test_what_to_add_up_in_is_an_option(op):
    x = Tensor(np.array([0.1, 0.2, 0.4], np.float32), requires_grad=True)
    y = op(x, dtype=np.float64)
    assert_same(y, getattr(np, op.name)(x.data, dtype=np.float64))
    y.sum().backward()
    assert x.grad.dtype == np.float32


@pytest.mark.parametrize(
    ("factors", "by_each"),
    [
        ([2.0, 3.0, 4.0], [12, 8, 6]),
        ([2.0, 0.0, 4.0], [0, 8, 0]),
        ([0.0, 0.0, 4.0], [0, 0, 0]),
    ],
)
def test_a_product_has_a_gradient_at_zeros(factors, by_each):
    assert gradient(reduction.prod, factors) == by_each


def test_a_product_with_two_zeros_has_a_second_derivative_by_the_two():
    x = leaf([0.0, 0.0, 4.0])
    found = tg.gradients(reduction.prod(x), create_graph=True)[x]
    found[0].backward()  # ∂y/∂x₀ = x₁ x₂
    assert x.grad.tolist() == [0, 4, 0]


@pytest.mark.parametrize("zeros", [(), (1,), (0, 2), (0, 1, 2, 3)])
def test_cumulative_products_have_first_and_second_derivatives_at_zeros(zeros):
    x = np.array([0.5, -1.5, 2.0, 0.75])
    x[list(zeros)] = 0
    gradcheck(reduction.cumprod, x)
    gradcheck(lambda x: reduction.cumprod(x) ** 2, x, order=2)


@pytest.mark.parametrize("function", [np.cumsum, np.cumprod])
@given(data=st.data())
def test_accumulation_is_numpys(function, data):
    x, _, _ = data.draw(an_array_and_axes(min_side=0))
    axis = data.draw(st.none() | st.integers(-x.ndim, x.ndim - 1) if x.ndim else st.none())
    assert_same(function(leaf(x), axis), function(x, axis))


@pytest.mark.parametrize("function", ["cumulative_sum", "cumulative_prod"])
@pytest.mark.parametrize("options", [{"axis": 0}, {"axis": -1, "include_initial": True}])
def test_accumulation_by_its_longer_name_may_begin_before_the_first_entry(function, options):
    x = np.array([[1.5, 2.0, -1.0], [0.25, 4.0, 3.0]])
    y = getattr(tg, function)(leaf(x), **options)
    if hasattr(np, function):  # since NumPy 2.1
        assert_same(y, getattr(np, function)(x, **options))
    gradcheck(lambda x: getattr(tg, function)(x, **options), x, order=2)
    with pytest.raises(ShapeError, match=rf"{function} of shape \(2, 3\) needs axis="):
        getattr(tg, function)(leaf(x))


def test_a_linear_recurrence_feeds_each_result_into_the_next():
    a, b = [9.0, 2.0, 3.0], [1.0, 10.0, 100.0]
    y = reduction.linear_recurrence(leaf(a), leaf(b))
    assert y.tolist() == [1, 2 * 1 + 10, 3 * (2 * 1 + 10) + 100]
    with pytest.raises(ShapeError, match=r"one shape, not \(3,\) and \(2,\)"):
        reduction.linear_recurrence(leaf(a), leaf(b[:2]))


def test_a_variance_counts_degrees_of_freedom_by_either_name():
    x = np.array([1.0, 4.0, 2.0, 8.0])
    for function in (np.var, np.std):
        assert_same(function(leaf(x), ddof=1), function(x, ddof=1))
        assert_same(function(leaf(x), correction=1), function(x, correction=1))
        with pytest.raises(OperandError, match="two names of one option"):
            function(leaf(x), ddof=1, correction=1)


def test_the_standard_deviation_of_equal_entries_has_a_gradient_of_zero():
    assert gradient(reduction.std, [3.0, 3.0]) == [0, 0]
    assert gradient(lambda x: reduction.std(x, axis=1), [[3.0, 3.0], [0.0, 2.0]]) == [
        [0, 0],
        [-0.5, 0.5],
    ]


@pytest.mark.parametrize("axis", [None, 0, (0, 1), -1])
@pytest.mark.parametrize("keepdims", [False, True])
def test_logsumexp_is_what_its_name_says(axis, keepdims):
    x = np.array([[0.5, -1.0, 2.0], [3.0, 0.25, -2.0]])
    y = reduction.logsumexp(leaf(x), axis, keepdims)
    expected = np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))
    np.testing.assert_allclose(y.data, expected, rtol=1e-15)
    assert y.shape == expected.shape


def test_logsumexp_does_not_overflow_and_its_gradient_is_the_softmax():
    x = leaf([1000.0, 1000.0, -1000.0])
    y = reduction.logsumexp(x)
    y.backward()
    assert y.item() == pytest.approx(1000 + math.log(2))
    np.testing.assert_allclose(x.grad, [0.5, 0.5, 0])


def test_logsumexp_of_nothing_possible_is_minus_infinity_with_no_gradient():
    rows = [[-math.inf, -math.inf], [0.0, -math.inf]]
    assert reduction.logsumexp(leaf(rows), 1).tolist() == [-math.inf, 0]
    assert gradient(lambda x: reduction.logsumexp(x, 1), rows) == [[0, 0], [1, 0]]
    assert reduction.logsumexp(leaf([[], []]), 1).tolist() == [-math.inf, -math.inf]


CONSTANTS = [
    np.argmax,
    np.argmin,
    np.argsort,
    np.any,
    np.all,
    np.count_nonzero,
]


@pytest.mark.parametrize("function", CONSTANTS)
@pytest.mark.parametrize("axis", [None, 0, -1])
def test_what_no_gradient_flows_through_is_plain(function, axis):
    x = np.array([[1.0, 0.0, 3.0], [2.0, 5.0, 4.0]])
    y = function(leaf(x), axis=axis)
    assert not isinstance(y, Tensor)
    np.testing.assert_array_equal(y, function(x, axis=axis), strict=True)


def test_places_of_a_partition_are_numpys():
    x = [3.0, 1.0, 2.0]
    assert np.argpartition(leaf(x), 1).tolist() == np.argpartition(x, 1).tolist()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: tg.sum(x, 2), IndexingError, r"sum .*shape \(2, 3\).*axis 2 is out of bounds"),
        (lambda x: reduction.argmax(x, 2), IndexingError, r"argmax .*\(2, 3\).*axis 2"),
        (lambda x: tg.max(x[:0], 0), ShapeError, r"max .*\(0, 3\).*no identity"),
        (lambda x: reduction.argmin(x[:0]), ShapeError, r"argmin .*\(0, 3\)"),
        (lambda x: tg.sum(x, where=[True, False]), ShapeError, r"sum .*where=\[True, False\]"),
        (lambda x: tg.sum(x, out=x), OperandError, "sum has no option 'out': use what it returns"),
    ],
)
def test_a_bad_axis_or_option_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call(leaf([[1.0, 4.0, 2.0], [8.0, 5.0, 7.0]]))
