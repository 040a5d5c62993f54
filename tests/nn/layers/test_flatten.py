"""Flatten and Unflatten: inverses of one another."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
import tinygrad_edu as tg
from tinygrad_edu import Tensor


def test_flatten_merges_all_axes_but_the_first():
    x = Tensor(np.zeros((2, 3, 4, 5)))
    assert nn.Flatten()(x).shape == (2, 60)
    assert nn.Flatten(1, 2)(x).shape == (2, 12, 5)
    assert nn.Flatten(0, -2)(x).shape == (24, 5)
    assert nn.Flatten()(np.zeros((0, 3, 4))).shape == (0, 12)


@given(st.lists(st.integers(0, 4), min_size=2, max_size=5), st.data())
def test_unflatten_undoes_flatten(shape, data):
    start = data.draw(st.integers(0, len(shape) - 1))
    end = data.draw(st.integers(start, len(shape) - 1))
    x = np.arange(math.prod(shape)).reshape(shape)
    back = nn.Unflatten(start, shape[start : end + 1])(nn.Flatten(start, end)(x))
    np.testing.assert_array_equal(back, x)


def test_one_size_may_be_left_to_the_others():
    assert nn.Unflatten(-1, (-1, 3))(np.zeros((2, 12))).shape == (2, 4, 3)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.Flatten(), (3,), r"start_dim=1.* in 0 cannot take shape \(3,\), which has 1 axes"),
        (nn.Flatten(2, 1), (3, 4, 5), "ends before it starts"),
        (nn.Unflatten(1, (2, 3)), (1, 7), r"\(2, 3\)\) in 0 cannot take an axis of length 7"),
        (nn.Unflatten(1, (2, -1)), (1, 7), "axis of length 7"),
        (nn.Unflatten(2, (2, -1)), (1, 8), "2 axes"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused(layer, shape, message):
    with pytest.raises(tg.ShapeError, match=message):
        nn.Sequential(layer)(np.zeros(shape))


@pytest.mark.parametrize("sizes", [(), (-1, -1), (2, -3)])
def test_sizes_that_name_no_axes_are_refused(sizes):
    with pytest.raises(nn.ConfigurationError, match="unflattened_size"):
        nn.Unflatten(1, sizes)
