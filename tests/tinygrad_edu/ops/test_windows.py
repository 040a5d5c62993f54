"""Windows as columns, and columns as windows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from tinygrad_edu import ShapeError, Tensor
from tinygrad_edu.ops.convolution import conv2d
from tinygrad_edu.ops.windows import fold, unfold


def leaf(data, dtype=np.float64):
    return Tensor(np.array(data, dtype=dtype), requires_grad=True)


def numbers(shape, seed=0):
    """Whole numbers, whose sums of products are exact."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(float)


@given(*(st.tuples(st.integers(1, 3), st.integers(1, 2)) for _ in range(4)))
def test_unfold_has_the_windows_as_columns_and_fold_is_its_adjoint(kernel, dilation, pad, stride):
    extents = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    x = numbers((2, 2, extents[0] + 1, extents[1] + 2))
    columns = unfold(leaf(x), kernel, dilation, pad, stride)
    padded = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in pad)])
    steps = (slice(None, None, step) for step in (*stride, *dilation))
    windows = sliding_window_view(padded, extents, (2, 3))[(..., *steps)]
    expected = np.moveaxis(windows, (4, 5), (2, 3)).reshape(columns.shape)
    np.testing.assert_array_equal(columns.data, expected)
    y = numbers(columns.shape, 1)
    back = fold(leaf(y), x.shape[2:], kernel, dilation, pad, stride)
    assert np.sum(columns.data * y) == np.sum(x * back.data)


def test_a_convolution_is_a_product_with_the_columns():
    x, weight = numbers((2, 3, 5, 4)), numbers((4, 3, 2, 3), 1)
    y = weight.reshape(4, -1) @ unfold(leaf(x), (2, 3), stride=2)
    np.testing.assert_array_equal(
        y.data.reshape(2, 4, 2, 1), conv2d(leaf(x), weight, stride=2).data
    )


def test_columns_that_are_not_of_the_image_are_named():
    with pytest.raises(
        ShapeError, match=r"fold to 3x3 takes x \(N, C \* 4, 4\), not .*\(1, 4, 5\)"
    ):
        fold(leaf(np.ones((1, 4, 5))), 3, 2)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_dtype_stays(dtype):
    x = leaf(numbers((2, 2, 4, 4)), dtype)
    y = fold(unfold(x, 2), 4, 2)
    y.sum().backward()
    assert y.dtype == x.grad.dtype == dtype
