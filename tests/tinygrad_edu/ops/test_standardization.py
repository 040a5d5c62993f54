"""Normalization with loops that Numba compiles agrees with NumPy's passes over parts."""

import sys

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import Tensor
from tinygrad_edu.ops import loops, standardization
from tinygrad_edu.ops.standardization import standardize

pytest.importorskip("numba", reason="the extra fast is not installed")


@st.composite
def normalizations(draw):
    """An array, a gradient, the axes to sum over, and parameters for each group or each place."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=4, max_side=5))
    first = draw(st.integers(0, len(shape) - 1))
    last = draw(st.integers(first + 1, len(shape)))
    axes = (*range(first), *range(last, len(shape)))
    assume(axes)
    kept = tuple(1 if k in axes else n for k, n in enumerate(shape))
    forms = [kept] if first else [kept, (1,) * last + shape[last:], shape[last:]]
    form = draw(st.sampled_from(forms))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    x, g = (rng.normal(3, 2, shape).astype(dtype) for _ in range(2))
    weight, bias = (
        rng.normal(size=form).astype(dtype) if draw(st.booleans()) else None for _ in range(2)
    )
    return x, g, axes, weight, bias


def results(x, g, axes, weight, bias, centered):
    leaves = [None if a is None else Tensor(a, requires_grad=True) for a in (x, weight, bias)]
    y = standardize(*leaves, axes, 1e-3, centered)
    y.backward(g)
    return [y.data, *(p.grad for p in leaves if p is not None)]


def with_loops(*args):
    """Whatever the sizes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loops, "WORTH_LOADING", 0)
        patch.setattr(standardization, "_SHORTEST_ROW", 0)
        return results(*args)


def without_loops(*args):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(standardization, "compiled_loops", lambda entries: None)
        return results(*args)


@given(normalizations(), st.booleans())
def test_compiled_loops_agree_with_numpy(case, centered):
    found = with_loops(*case, centered)
    expected = without_loops(*case, centered)
    tolerance = 1e-4 if case[0].dtype == np.float32 else 1e-11
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def large(dtype=np.float32):
    rng = np.random.default_rng(0)
    x, g = (rng.normal(3, 2, (512, 256)).astype(dtype) for _ in range(2))
    weight, bias = (rng.normal(size=256).astype(dtype) for _ in range(2))
    return x, g, weight, bias


def test_large_arrays_take_the_compiled_loops(monkeypatch):
    calls, compiled = [], loops.compiled_loops(loops.WORTH_LOADING)

    def noting(name, loop):
        return lambda *args: (calls.append(name), loop(*args))

    for name in ("standardized", "derivatives"):
        monkeypatch.setattr(compiled, name, noting(name, getattr(compiled, name)))
    x, g, weight, bias = large()
    results(x, g, (-1,), weight, bias, True)
    assert sorted(calls) == ["derivatives", "standardized"]


def test_their_errors_in_float32_are_not_larger_than_those_of_numpy():
    x, g, weight, bias = large()
    exact = without_loops(*(a.astype(np.float64) for a in (x, g)), (-1,),
                          *(a.astype(np.float64) for a in (weight, bias)), True)  # fmt: skip
    found = results(x, g, (-1,), weight, bias, True)
    passes = without_loops(x, g, (-1,), weight, bias, True)
    for a, b, c in zip(found, passes, exact, strict=True):
        # Half as much again, for chance: both round their results to float32.
        assert np.abs(a - c).max() <= 1.5 * np.abs(b - c).max()


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_number_that_is_none_spoils_its_group_and_no_other(wrong):
    x, g, weight, bias = large()
    x[3, 5] = wrong
    with np.errstate(invalid="ignore"):
        y, by_x, *_ = results(x, g, (-1,), weight, bias, True)
    for found in (y, by_x):
        assert np.isnan(found[3]).all()
        assert np.isfinite(np.delete(found, 3, axis=0)).all()


def test_a_view_is_taken_as_the_array_it_shows():
    x, g, weight, bias = large()
    turned = np.asfortranarray(x)
    for a, b in zip(
        results(turned, g, (-1,), weight, bias, True),
        results(x, g, (-1,), weight, bias, True),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_without_numba_the_ops_are_whole(monkeypatch):
    monkeypatch.setitem(sys.modules, "tinygrad_edu.ops.compiled", None)
    monkeypatch.delattr(tg.ops, "compiled", raising=False)
    monkeypatch.setattr(loops, "_installed", loops._installed.__wrapped__)
    assert loops.compiled_loops(loops.WORTH_LOADING) is None
    x, g, weight, bias = large()
    y, *_ = results(x, g, (-1,), weight, bias, True)
    z = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(y, z * weight + bias, rtol=1e-4, atol=1e-5)
