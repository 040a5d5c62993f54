"""Averages, medians, quantiles and covariances, and what passes over nan: all as NumPy has them."""

import math

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import (
    GradientLostError,
    IndexingError,
    OperandError,
    ShapeError,
    Tensor,
    UnknownNameError,
)
from tinygrad_edu.testing import gradcheck


def leaf(data):
    return Tensor(np.array(data, dtype=np.float64), requires_grad=True)


def gradient(f, x):
    """∂(Σ f)/∂x."""
    x = leaf(x)
    f(x).sum().backward()
    return x.grad.tolist()


@st.composite
def an_array_and_axes(draw, elements):
    x = draw(hnp.arrays(np.float64, hnp.array_shapes(max_dims=3, max_side=3), elements=elements))
    return x, draw(st.none() | hnp.valid_tuple_axes(x.ndim)), draw(st.booleans())


NUMBERS = st.floats(-9, 9)


@given(drawn=an_array_and_axes(NUMBERS))
def test_medians_and_ranges_are_numpys(drawn):
    x, axis, keepdims = drawn
    for function in (np.median, np.ptp):
        y = function(leaf(x), axis=axis, keepdims=keepdims)
        expected = function(x, axis=axis, keepdims=keepdims)
        np.testing.assert_array_equal(y.data, np.asarray(expected), strict=True)


METHODS = ["linear", "lower", "higher", "midpoint", "nearest"]


@given(
    drawn=an_array_and_axes(NUMBERS | st.just(math.nan)),
    q=hnp.arrays(float, hnp.array_shapes(min_dims=0, max_dims=2), elements=st.floats(0, 1)),
    method=st.sampled_from(METHODS),
    skip_nan=st.booleans(),
)
@pytest.mark.filterwarnings("ignore:All-NaN slice")
def test_quantiles_are_numpys(drawn, q, method, skip_nan):
    x, axis, keepdims = drawn
    function = np.nanquantile if skip_nan else np.quantile
    options = {"axis": axis, "keepdims": keepdims, "method": method}
    y, expected = function(leaf(x), q, **options), function(x, q, **options)
    np.testing.assert_allclose(y.data, expected, rtol=1e-12, atol=1e-12)
    assert y.shape == np.shape(expected)


def test_percentiles_are_quantiles_by_the_hundred():
    x = leaf([1.0, 5.0, 2.0, math.nan])
    assert np.percentile(x[:3], 75).item() == np.quantile(x[:3], 0.75).item() == 3.5
    assert np.nanpercentile(x, [0, 50, 100]).tolist() == [1, 2, 5]
    assert np.nanmedian(x).item() == 2


def test_a_quantile_between_two_entries_shares_its_gradient_by_their_distance():
    assert gradient(lambda x: tg.quantile(x, 0.25), [4.0, 1.0, 2.0]) == [0, 0.5, 0.5]
    assert gradient(lambda x: tg.quantile(x, 0.25, method="higher"), [4.0, 1.0, 2.0]) == [0, 0, 1]
    for method in METHODS:
        gradcheck(lambda x, m=method: tg.quantile(x, [0.1, 0.8], 1, method=m), X)


PASSING_OVER_NAN = [
    np.nansum,
    np.nanprod,
    np.nanmean,
    np.nanvar,
    np.nanstd,
    np.nanmax,
    np.nanmin,
    np.nanmedian,
]


@pytest.mark.parametrize("function", PASSING_OVER_NAN)
@pytest.mark.parametrize("options", [{}, {"axis": 1}, {"axis": (0, -1), "keepdims": True}])
def test_nan_is_passed_over_and_gets_no_gradient(function, options):
    x = np.array([[1.5, math.nan, -2.0], [math.nan, 4.0, 0.5]])
    t = leaf(x)
    y = function(t, **options)
    np.testing.assert_allclose(y.data, function(x, **options), rtol=1e-15)
    y.sum().backward()
    assert not np.any(t.grad[np.isnan(x)])
    numbers = x[~np.isnan(x)]
    gradcheck(lambda v: function(tg.index_set(x, ~np.isnan(x), v), **options), numbers, order=2)


@pytest.mark.parametrize("function", [np.nancumsum, np.nancumprod])
def test_what_accumulates_passes_over_nan(function):
    x = np.array([[1.5, math.nan, -2.0], [math.nan, 4.0, 0.5]])
    np.testing.assert_array_equal(function(leaf(x), 1).data, function(x, 1))
    assert gradient(function, [2.0, math.nan, 0.5])[1] == 0


@pytest.mark.parametrize("function", [np.nanmax, np.nanmin, np.nanmedian])
def test_of_nothing_but_nan_the_extremes_are_nan(function):
    assert np.isnan(function(leaf([math.nan, math.nan])).item())
    assert function(Tensor(np.array([3, 1, 1]))).dtype.kind in "if"


OBSERVATIONS = np.array([[1.0, 4.0, 2.0, -1.0], [8.0, 5.0, 7.0, 0.5]])


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((OBSERVATIONS,), {}),
        ((OBSERVATIONS[0], OBSERVATIONS[1] ** 2), {}),
        ((OBSERVATIONS.T, OBSERVATIONS[::-1].T), {"rowvar": False}),
        ((OBSERVATIONS[0],), {}),
    ],
)
def test_covariances_and_correlations_are_numpys(arguments, options):
    more = [(np.cov, {"bias": True}), (np.cov, {"ddof": 0}), (np.cov, {}), (np.corrcoef, {})]
    for function, chosen in more:
        y = function(*map(leaf, arguments), **options, **chosen)
        np.testing.assert_allclose(y.data, function(*arguments, **options, **chosen), rtol=1e-12)
        gradcheck(lambda *xs, f=function, c=chosen: f(*xs, **options, **c), *arguments)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize(
    "function",
    [np.average, np.median, np.cov, np.corrcoef, *PASSING_OVER_NAN, lambda x: np.quantile(x, 0.3)],
)
def test_a_statistic_keeps_its_dtype_forward_and_backward(function, dtype):
    x = Tensor(np.array([[1, 2, 4], [3, 0, 5]], dtype), requires_grad=True)
    y = function(x)
    y.sum().backward()
    assert y.dtype == x.grad.dtype == dtype


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: np.median(x, 2), IndexingError, r"median .*axis=2 .*from -2 to 1"),
        (lambda x: np.median(x, 0.5), OperandError, "median takes one integer as axis="),
        (lambda x: np.quantile(x, 1.5), OperandError, r"q in \[0, 1\], not 1.5"),
        (lambda x: np.percentile(x, -1), OperandError, r"q in \[0, 100\]"),
        (lambda x: np.quantile(x, x[0, 0]), GradientLostError, "option q of quantile"),
        (lambda x: np.quantile(x, 0.5, method="hazen"), UnknownNameError, "method of quantile"),
        (lambda x: np.quantile(x[:0], 0.5), ShapeError, "there are no entries"),
        (lambda x: np.cov(x[:, :1]), ShapeError, "1 observations cannot divide by 0"),
        (lambda x: np.cov(x[None]), ShapeError, "a vector or a matrix"),
    ],
)
def test_what_a_statistic_cannot_take_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call(leaf(X))


def test_the_gradient_of_a_median_goes_to_the_entries_in_the_middle():
    assert gradient(tg.median, [3.0, 1.0, 2.0]) == [0, 0, 1]
    assert gradient(tg.median, [3.0, 1.0, 2.0, 9.0]) == [0.5, 0, 0.5, 0]
    assert np.isnan(tg.median(leaf([1.0, math.nan, 2.0])).item())


def test_there_is_no_median_of_nothing():
    with pytest.raises(ShapeError, match=r"median .* shape \(2, 0\): there are no entries"):
        tg.median(leaf(np.zeros((2, 0))), axis=1)


X = np.array([[1.0, 4.0, 2.0], [8.0, 5.0, 7.0]])
W = np.array([[0.5, 2.0, 1.0], [1.0, 0.25, 3.0]])


@pytest.mark.parametrize(
    ("axis", "weights"),
    [(None, None), (0, None), (None, W), (1, W), (1, W[0]), (-2, [1.0, 3.0]), ((1, 0), W.T)],
)
@pytest.mark.parametrize("keepdims", [False, True])
def test_averages_are_numpys_with_their_weights(axis, weights, keepdims):
    options = {"axis": axis, "weights": weights, "keepdims": keepdims, "returned": True}
    expected, total = np.average(X, **options)
    y, returned = np.average(leaf(X), **options)
    np.testing.assert_array_equal(y.data, expected)
    np.testing.assert_array_equal(np.asarray(returned), total)


def test_an_average_is_differentiable_by_values_and_weights():
    gradcheck(lambda x, w: tg.average(x, 1, w), X, W, order=2)
    gradcheck(lambda w: tg.average(X, -1, w), W[0], order=2)


@pytest.mark.parametrize(
    ("axis", "message"), [(None, r"weights of that shape, not"), (1, r"or of shape \(3,\), not")]
)
def test_weights_of_another_shape_are_refused(axis, message):
    with pytest.raises(ShapeError, match=rf"average .* shape \(2, 3\) takes .*{message} \(2,\)"):
        tg.average(leaf(X), axis, np.ones(2))
