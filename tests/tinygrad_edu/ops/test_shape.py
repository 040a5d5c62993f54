"""Reshapes, permutations, broadcasts and conversions."""

import numpy as np
import pytest

from tinygrad_edu import DTypeError, ShapeError, Tensor


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
