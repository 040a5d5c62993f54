"""Sums, means and maxima."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import Tensor

REDUCTIONS = [(tg.sum, np.sum), (tg.mean, np.mean), (tg.max, np.max)]


def leaf(data):
    return Tensor(np.array(data, dtype=np.float64), requires_grad=True)


@pytest.mark.parametrize(("op", "function"), REDUCTIONS)
@given(data=st.data())
def test_a_reduction_is_numpys_as_function_and_as_method(op, function, data):
    x = data.draw(hnp.arrays(np.float64, hnp.array_shapes(max_side=3), elements=st.floats(-9, 9)))
    axis = data.draw(st.none() | hnp.valid_tuple_axes(x.ndim))
    keepdims = data.draw(st.booleans())
    expected = np.asarray(function(x, axis=axis, keepdims=keepdims))
    t = Tensor(x)
    for y in (
        op(t, axis, keepdims),
        function(t, axis=axis, keepdims=keepdims),
        getattr(t, op.name)(axis, keepdims),
    ):
        np.testing.assert_array_equal(y.data, expected, strict=True)


def test_entries_that_tie_for_the_maximum_share_the_gradient_evenly():
    x = leaf([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    x.max(axis=1).sum().backward()
    np.testing.assert_allclose(x.grad, [[0, 1 / 2, 1 / 2], [1 / 3, 1 / 3, 1 / 3]])


@pytest.mark.parametrize(
    ("op", "function", "axis"),
    # Of a number, NumPy's sum and max take the axes 0 and -1; its mean does not.
    [(op, function, axis) for op, function in REDUCTIONS for axis in (None, ())]
    + [(op, function, axis) for op, function in REDUCTIONS[::2] for axis in (0, -1)],
)
def test_a_number_reduces_over_the_axes_that_numpy_allows(op, function, axis):
    x = leaf(3.0)
    y = op(x, axis=axis)
    assert y.data == function(x.data, axis=axis) == 3
    y.backward()
    assert x.grad == 1
    assert x.grad.shape == ()


def test_the_sum_of_nothing_is_zero_and_has_a_gradient_of_no_entries():
    x = leaf(np.zeros((0, 3)))
    x.sum(axis=0).sum().backward()
    assert x.sum().item() == 0
    assert x.grad.shape == (0, 3)


@pytest.mark.parametrize("op", [tg.sum, tg.mean, tg.max])
def test_a_float16_reduction_stays_one(op):
    x = Tensor(np.ones((2, 3), np.float16), requires_grad=True)
    y = op(x, axis=1)
    y.sum().backward()
    assert y.dtype == x.grad.dtype == np.float16
