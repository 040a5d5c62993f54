"""erf on arrays is Python's, entry by entry."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tinygrad_edu.ops import error_function, loops
from tinygrad_edu.ops.activation import gelu
from tinygrad_edu.ops.error_function import BLOCK, erf


@pytest.mark.parametrize(("dtype", "last_bits"), [("f8", 8), ("f4", 8), ("f2", 1)])
def test_it_is_pythons_to_a_few_of_the_last_bits(dtype, last_bits):
    near_zero = np.geomspace(1e-4, 1, 2000)
    x = np.concatenate([np.linspace(-8, 8, 3 * BLOCK + 1), near_zero, -near_zero]).astype(dtype)
    expected = np.array([math.erf(float(each)) for each in x])
    error = np.abs(erf(x).astype(float) - expected) / np.maximum(np.abs(expected), 1e-30)
    assert erf(x).dtype == x.dtype
    assert error[expected != 0].max() <= last_bits * np.finfo(dtype).eps
    assert np.abs(erf(x)).max() <= 1


def test_a_compiled_loop_agrees_to_the_last_bits(monkeypatch):
    pytest.importorskip("numba", reason="the extra fast is not installed")
    ends = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0])
    x = np.concatenate([ends, np.linspace(-8, 8, loops.WORTH_LOADING)]).astype("f4")
    found = erf(x)
    monkeypatch.setattr(error_function, "compiled_loops", lambda entries: None)
    np.testing.assert_allclose(found, erf(x), rtol=4 * np.finfo("f4").eps)
    np.testing.assert_array_equal(np.signbit(found[1:]), np.signbit(erf(x)[1:]))


@pytest.mark.parametrize("compiled", [True, False])
def test_the_slope_of_gelu_is_that_of_its_formula_with_a_compiled_loop_and_without(
    compiled, monkeypatch
):
    if compiled:
        pytest.importorskip("numba", reason="the extra fast is not installed")
    else:
        monkeypatch.setattr(error_function, "compiled_loops", lambda entries: None)
    numbers = np.linspace(-45, 45, loops.WORTH_LOADING)
    x = np.concatenate([[np.nan, np.inf, -np.inf], numbers]).astype("f4")
    expected = [
        (1 + math.erf(z / math.sqrt(2))) / 2 + z * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        for z in x[3:].astype(float)
    ]
    found = gelu.rules[0](np.ones_like(x), None, x, approximate="none")
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(found[:3], [np.nan, 1, 0])
    np.testing.assert_allclose(found[3:], expected, rtol=0, atol=4e-7)


@given(arrays("f8", array_shapes(max_dims=3, min_side=0, max_side=4),
              elements=st.floats(allow_nan=True, allow_infinity=True)))  # fmt: skip
def test_every_float_in_every_shape_has_its_value(x):
    expected = np.array([math.erf(each) for each in x.ravel()]).reshape(x.shape)
    np.testing.assert_allclose(erf(x), expected, rtol=2e-15)


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_the_ends_and_the_sign_of_zero_are_exact(dtype):
    found = erf(np.array([np.inf, -np.inf, 0.0, -0.0, np.nan], dtype))
    np.testing.assert_array_equal(found, [1, -1, 0, 0, np.nan])
    assert list(np.signbit(found[2:4])) == [False, True]


def test_integers_and_views_are_taken():
    np.testing.assert_allclose(erf([1, 2]), [math.erf(1), math.erf(2)], rtol=1e-15)
    x = np.linspace(-3, 3, 24).reshape(4, 6).T[::2]
    np.testing.assert_array_equal(erf(x), erf(x.copy()))
