"""exp(x - max) and its sum: the loop that Numba compiles agrees with NumPy's passes."""

import math

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import Tensor
from tinygrad_edu.ops import exponentials as module
from tinygrad_edu.ops import loops
from tinygrad_edu.ops.exponentials import exponentials

numba = pytest.importorskip("numba", reason="the extra fast is not installed")

SHAPES = hnp.array_shapes(max_dims=3, max_side=20)


@pytest.fixture(autouse=True)
def whatever_the_size(monkeypatch):
    monkeypatch.setattr(loops, "WORTH_LOADING", 0)


def by_numpy(x, axis=-1):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "compiled_loops", lambda entries: None)
        return exponentials(x, axis)


def exact(x):
    x = x.astype(np.float64)
    e = np.exp(x - x.max(-1, keepdims=True))
    return e, e.sum(-1, keepdims=True)


@given(SHAPES, st.floats(0.1, 30), st.integers(0, 2**32))
def test_they_are_exact_to_the_last_places(shape, scale, seed):
    x = np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)
    # What x - max rounds to is what exp is taken of.
    shifted = x - x.max(-1, keepdims=True)
    _, e, total = exponentials(x)
    expected = np.exp(shifted.astype(np.float64))
    normal = expected > 2**-126
    units = np.spacing(expected.astype(np.float32))
    assert (np.abs(e - expected)[normal] < 1.5 * units[normal]).all()
    assert (e[~normal] <= 2**-126).all()
    np.testing.assert_allclose(total[..., 0], expected.sum(-1), rtol=1e-6)


def test_every_exponent_has_its_place():
    x = np.linspace(-87.3, 0, 200_001, dtype=np.float32)[None]
    _, e, _ = exponentials(x)
    np.testing.assert_allclose(e, np.exp(x.astype(np.float64)), rtol=1.2e-7)
    _, e, total = exponentials(np.array([[0, -100, -1e30, -math.inf]], np.float32))
    assert e.tolist() == [[1, 0, 0, 0]]
    assert total.item() == 1


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize(
    "row", [[math.nan, 0, 1], [-math.inf] * 3, [math.inf, 0, 1], [-math.inf, 0, 1]]
)
def test_what_is_no_number_is_none_afterwards(row):
    x = np.array([row, [1, 2, 3]], np.float32)
    for found, expected in zip(exponentials(x), by_numpy(x), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@given(SHAPES, st.data())
def test_they_are_numpys_along_any_axis_and_of_any_strides(shape, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    dtype = data.draw(st.sampled_from([np.float16, np.float32, np.float64]))
    x = np.random.default_rng(0).normal(0, 3, shape).astype(dtype)
    x = x.T if data.draw(st.booleans()) else x
    largest, e, total = exponentials(x, axis)
    assert {largest.dtype, e.dtype, total.dtype} == {np.dtype(dtype)}
    for found, expected in zip((largest, e, total), by_numpy(x, axis), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_array_equal(largest, x.max(axis, keepdims=True))
    np.testing.assert_allclose(total, e.sum(axis, keepdims=True), rtol=1e-2, atol=0)


def test_gradients_of_large_batches_are_exact_to_single_precision_either_way():
    rng = np.random.default_rng(0)
    x, labels = rng.normal(0, 5, (300, 400)).astype(np.float32), rng.integers(400, size=300)
    e, total = exact(x)
    expected = e / total
    expected[np.arange(300), labels] -= 1
    for compiled in (loops.compiled_loops, lambda entries: None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "compiled_loops", compiled)
            leaf = Tensor(x, requires_grad=True)
            tg.cross_entropy(leaf, labels, reduction="sum").backward()
            assert np.abs(leaf.grad - expected).max() < 4e-7
