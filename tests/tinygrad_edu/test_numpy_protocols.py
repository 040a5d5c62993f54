"""A Tensor in NumPy's own hands: methods of ufuncs, containers, and object arrays of Values."""

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import Tensor, Value


def leaf(data):
    return Tensor(np.array(data, dtype=float), requires_grad=True)


@pytest.mark.parametrize("ufunc", [np.add, np.maximum])
@pytest.mark.parametrize("options", [{}, {"axis": 1}, {"axis": None, "keepdims": True}])
def test_reduce_of_a_ufunc_is_the_reduction_with_its_own_default_axis(ufunc, options):
    x = leaf([[1, 5, 2], [4, 3, 6]])
    y = ufunc.reduce(x, **options)
    np.testing.assert_array_equal(y.data, ufunc.reduce(x.data, **options))
    assert y.requires_grad


def test_out_none_is_no_option():
    x = leaf([1, 2])
    np.add(x, x, out=None).sum().backward()
    assert x.grad.tolist() == [2, 2]
    with pytest.raises(tg.UnsupportedFunctionError, match=r"np\.add .* out="):
        np.add(x, x, out=np.zeros(2))


@pytest.mark.parametrize("method", ["outer", "reduceat", "at"])
def test_other_methods_of_ufuncs_are_refused_by_name(method):
    arguments = {"outer": ([1.0],), "reduceat": ([0],), "at": ([0], 1.0)}[method]
    with pytest.raises(tg.UnsupportedFunctionError, match=rf"np\.add\.{method}"):
        getattr(np.add, method)(leaf([1, 2]), *arguments)


def test_a_number_is_in_a_tensor_of_any_shape():
    assert 3.0 in leaf([[1, 2], [3, 4]])
    assert 5.0 not in leaf([[1, 2], [3, 4]])


def test_object_arrays_of_values_multiply_and_add_up():
    matrix = np.array([[Value(1.0), Value(2.0)], [Value(3.0), Value(4.0)]])
    vector = np.array([Value(5.0), Value(6.0)])
    product = matrix @ vector
    assert [v.data for v in product] == [17, 39]
    (product[0] + product.sum()).backward()
    assert [v.grad for v in vector] == [2 * 1 + 3, 2 * 2 + 4]
    assert [v.grad for v in matrix[0]] == [10, 12]
