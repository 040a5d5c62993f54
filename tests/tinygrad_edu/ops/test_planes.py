"""Convolution with a channel per group, by loops that Numba compiles, agrees with the products."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tinygrad_edu import Tensor
from tinygrad_edu.ops import loops, planes
from tinygrad_edu.ops.convolution import conv_transpose2d, convolution
from tinygrad_edu.testing import gradcheck

pytest.importorskip("numba", reason="the extra fast is not installed")


def numbers(shape, dtype, seed):
    """Whole numbers, whose sums of products are exact."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(dtype)


@st.composite
def calls(draw):
    """x, a weight of which a group has one channel in or out, a bias, and the options."""
    n = draw(st.integers(1, 3))

    def each(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(n))

    kernel, dilation, size = each(1, 3), each(1, 2), each(1, 6)
    padding = tuple(zip(each(0, 4), each(0, 4), strict=True))
    extents = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    assume(all(e <= m + sum(p) for e, m, p in zip(extents, size, padding, strict=True)))
    groups, channels = draw(st.integers(1, 3)), draw(st.permutations([1, draw(st.integers(1, 3))]))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    x = numbers((draw(st.integers(0, 3)), groups * channels[0], *size), dtype, 0)
    weight = numbers((groups * channels[1], channels[0], *kernel), dtype, 1)
    bias = draw(st.sampled_from([None, numbers(len(weight), dtype, 2)]))
    options = {"padding": padding, "dilation": dilation, "groups": groups}
    return x, weight, bias, {"stride": (1,) * n, **options}


def results(x, weight, bias, options, learned=(True, True, True)):
    """The convolution, and the gradients by what is learned."""
    leaves = [
        None if a is None else Tensor(a, requires_grad=want)
        for a, want in zip((x, weight, bias), learned, strict=True)
    ]
    y = convolution(*leaves, **options)
    y.backward(numbers(y.shape, y.dtype, 3))
    return [y.data, *(leaf.grad for leaf in leaves if leaf is not None)]


def with_loops(*args):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loops, "WORTH_LOADING", 0)
        return results(*args)


def without_loops(*args):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planes, "compiled_loops", lambda entries: None)
        return results(*args)


@given(calls(), st.sampled_from([(True, True, True), (True, False, False), (False, True, False)]))
def test_compiled_loops_compute_what_the_products_do(call, learned):
    for found, expected in zip(
        with_loops(*call, learned), without_loops(*call, learned), strict=True
    ):
        if expected is None:
            assert found is None
        else:
            np.testing.assert_array_equal(found, expected, strict=True)


def test_a_transposed_convolution_with_room_beyond_the_windows_has_the_right_gradients(monkeypatch):
    monkeypatch.setattr(loops, "WORTH_LOADING", 0)
    y, weight = numbers((2, 2, 3, 2), np.float64, 0), numbers((2, 1, 2, 3), np.float64, 1)
    for options in ({"dilation": 2, "output_padding": 1, "padding": 1}, {"padding": 1}):
        gradcheck(
            lambda y, w, options=options: conv_transpose2d(y, w, groups=2, **options) ** 2,
            y,
            weight,
            order=2,
        )


@pytest.mark.parametrize("wrong", [np.inf, np.nan])
def test_what_is_not_finite_reaches_no_more_gradients_than_it_does_by_definition(wrong):
    x, weight = numbers((2, 1, 4, 5), np.float64, 0), numbers((3, 1, 2, 2), np.float64, 1)
    x[1, 0, 1, 4] = wrong  # at the end of a row: no window has it at the left of the kernel
    options = {"stride": (1, 1), "padding": ((0, 0),) * 2, "dilation": (1, 1), "groups": 1}
    with np.errstate(invalid="ignore"):
        found = with_loops(x, weight, None, options)
        expected = without_loops(x, weight, None, options)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    by_weight = found[2]
    assert np.isfinite(by_weight[..., 0]).all()
    assert not np.isfinite(by_weight[..., 1]).any()


GEOMETRY = {"padding": ((1, 1),) * 2, "dilation": (1, 1)}


def large(channels, out, groups):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((32, channels, 24, 24), np.float32)
    weight = rng.standard_normal((out, channels // groups, 3, 3), np.float32)
    return x, weight, None, {"stride": (1, 1), "groups": groups, **GEOMETRY}


@pytest.mark.parametrize("sizes", [(1, 6, 1), (6, 1, 1), (6, 6, 6), (4, 8, 4)])
def test_large_images_take_the_loops_for_all_three(monkeypatch, sizes):
    calls, compiled = [], loops.compiled_loops(loops.WORTH_LOADING)

    def noting(name, loop):
        return lambda *args: (calls.append(name), loop(*args))

    for name in ("correlate", "correlate_by_weight"):
        monkeypatch.setattr(compiled, name, noting(name, getattr(compiled, name)))
    results(*large(*sizes))
    assert sorted(calls) == ["correlate", "correlate", "correlate_by_weight"]


def test_their_errors_in_float32_are_of_the_size_of_those_of_the_products():
    for sizes in ((1, 6, 1), (6, 6, 6)):
        x, weight, bias, options = large(*sizes)
        doubles = (x.astype(np.float64), weight.astype(np.float64), bias, options)
        found, products = results(x, weight, bias, options), without_loops(x, weight, bias, options)
        for a, b, c in zip(found, products, without_loops(*doubles), strict=True):
            # A sum of 54 terms is taken in fewer parts than a product of matrices takes it in.
            assert np.sqrt(np.mean((a - c) ** 2)) <= 2 * np.sqrt(np.mean((b - c) ** 2))
