"""Pooling over windows, against its definition."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import ShapeError, Tensor
from tinygrad_edu.errors import OperandError
from tinygrad_edu.ops.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from tinygrad_edu.testing import gradcheck


def leaf(data, dtype=np.float64):
    return Tensor(np.array(data, dtype=dtype), requires_grad=True)


def numbers(shape, seed=0):
    """Whole numbers, whose sums of products are exact."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(float)


def starts(n, kernel, stride, padding, ceil_mode):
    """Where windows start along an axis of length n, from -padding on."""
    places = range(-padding, n + padding, stride)
    if ceil_mode:  # as long as the one before leaves something uncovered, and inside
        reached = n + padding - kernel + stride
        return [i for i in places if i == -padding or (i < reached and i < n)]
    return [i for i in places if i + kernel <= n + padding]


def clipped(start, kernel, n):
    return slice(max(start, 0), max(min(start + kernel, n), 0))


@st.composite
def pools(draw):
    kernel = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    stride = draw(st.none() | st.tuples(st.integers(1, 3), st.integers(1, 3)))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    size = tuple(draw(st.integers(k, 5)) for k in kernel)
    return numbers((draw(st.integers(0, 2)), 2, *size)), kernel, stride, padding


@given(pools(), st.sampled_from(["max", "mean", "counted"]), st.booleans())
@settings(max_examples=100)
def test_pooling_is_its_definition(call, kind, ceil_mode):
    x, kernel, stride, padding = call
    geometry = zip(x.shape[2:], kernel, stride or kernel, padding, strict=True)
    rows, columns = (starts(*axis, ceil_mode) for axis in geometry)
    expected = np.empty((*x.shape[:2], len(rows), len(columns)))
    for (i, top), (j, left) in itertools.product(enumerate(rows), enumerate(columns)):
        corner = zip((top, left), kernel, x.shape[2:], padding, strict=True)
        # How much of the window is in the image with its padding.
        size = math.prod(min(start + k, n + p) - start for start, k, n, p in corner)
        window = x[:, :, clipped(top, kernel[0], x.shape[2]), clipped(left, kernel[1], x.shape[3])]
        if kind == "max":
            expected[:, :, i, j] = window.max((2, 3))
        else:
            count = size if kind == "mean" else math.prod(window.shape[2:])
            expected[:, :, i, j] = window.sum((2, 3)) / count
    if kind == "max":
        y = max_pool2d(leaf(x), kernel, stride, padding, ceil_mode=ceil_mode)
    else:
        y = avg_pool2d(leaf(x), kernel, stride, padding, ceil_mode, kind == "mean")
    np.testing.assert_allclose(y.data, expected, rtol=1e-15, atol=1e-15, strict=True)


def test_pooling_along_one_axis():
    x = leaf([[[1.0, 5, 2, 4]]])
    assert max_pool1d(x, 2).data.tolist() == [[[5, 4]]]
    assert max_pool1d(x, 2, stride=1, dilation=2).data.tolist() == [[[2, 5]]]
    assert avg_pool1d(x, 2, stride=1).data.tolist() == [[[3, 3.5, 3]]]


def test_a_last_window_reaches_beyond_an_image_that_does_not_come_out_even():
    x = leaf([[[1.0, 2, 3, 4, 9]]])
    assert max_pool1d(x, 2, ceil_mode=True).data.tolist() == [[[2, 4, 9]]]
    assert avg_pool1d(x, 2, ceil_mode=True).data.tolist() == [[[1.5, 3.5, 9]]]
    gradcheck(lambda x: avg_pool1d(x, 2, ceil_mode=True) ** 2, x.data, order=2)
    gradcheck(lambda x: max_pool1d(x, 2, ceil_mode=True) ** 2, x.data, order=2)


def test_volumes_are_pooled_as_their_slices_are():
    # A window as deep as the volume is: the largest of the slices' largest, the mean of means.
    x = numbers((2, 2, 3, 4, 5))
    slices = x.reshape(2, 6, 4, 5)
    largest = max_pool2d(leaf(slices), 2).data.reshape(2, 2, 3, 2, 2).max(2, keepdims=True)
    means = avg_pool2d(leaf(slices), 2).data.reshape(2, 2, 3, 2, 2).mean(2, keepdims=True)
    np.testing.assert_array_equal(max_pool3d(leaf(x), (3, 2, 2)).data, largest)
    np.testing.assert_allclose(avg_pool3d(leaf(x), (3, 2, 2)).data, means, atol=1e-15)


def test_the_first_of_the_entries_that_tie_gets_the_gradient():
    x = leaf(np.ones((1, 1, 2, 4)))
    max_pool2d(x, 2).sum().backward()
    assert x.grad.tolist() == [[[[1, 0, 1, 0], [0, 0, 0, 0]]]]
    x.zero_grad()
    adaptive_max_pool2d(x, (1, 2)).sum().backward()
    assert x.grad.tolist() == [[[[1, 0, 1, 0], [0, 0, 0, 0]]]]


def test_an_entry_in_two_windows_gets_both_gradients():
    x = leaf([[[0.0, 1, 0, 3, 2]]])
    max_pool1d(x, 3, stride=1).backward(np.array([[[1.0, 10, 100]]]))
    assert x.grad.tolist() == [[[0, 1, 0, 110, 0]]]


@pytest.mark.parametrize("value", [-np.inf, np.nan])
def test_a_window_without_a_largest_number_still_has_its_gradient_inside(value):
    x = leaf(np.full((1, 2, 2, 2), value))
    y = max_pool2d(x, 2, stride=2, padding=1)
    y.sum().backward()
    np.testing.assert_array_equal(y.data, x.data)
    assert np.all(x.grad == 1)


def test_integers_can_be_pooled():
    x = -np.arange(8).reshape(1, 2, 2, 2)
    assert max_pool2d(x, 2, 2, 1).tolist() == x.tolist()


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 4), st.integers(1, 4))
def test_adaptive_pooling_is_over_windows_that_start_and_end_where_the_docstring_says(h, w, m, n):
    x = numbers((2, 2, h, w))
    for pool, reduce in [(adaptive_avg_pool2d, np.mean), (adaptive_max_pool2d, np.max)]:
        y = pool(leaf(x), (m, n))
        for i, j in itertools.product(range(m), range(n)):
            rows = slice(i * h // m, math.ceil((i + 1) * h / m))
            columns = slice(j * w // n, math.ceil((j + 1) * w / n))
            np.testing.assert_allclose(
                y.data[:, :, i, j], reduce(x[:, :, rows, columns], (2, 3)), rtol=1e-12, atol=1e-12
            )


@pytest.mark.parametrize(
    ("line", "image", "volume"),
    [
        (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d),
        (adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d),
    ],
)
def test_adaptive_pooling_is_the_same_in_any_number_of_dimensions(line, image, volume):
    x = numbers((2, 3, 5, 4))
    expected = image(leaf(x), (3, None)).data
    assert expected.shape == (2, 3, 3, 4)
    columns = np.moveaxis(x, 3, 1).reshape(8, 3, 5)
    by_line = np.moveaxis(line(leaf(columns), 3).data.reshape(2, 4, 3, 3), 1, 3)
    np.testing.assert_array_equal(by_line, expected)
    by_volume = volume(leaf(x[:, :, None]), (1, 3, 4)).data[:, :, 0]
    np.testing.assert_array_equal(by_volume, expected)


def test_pooling_to_one_entry_is_the_mean_of_a_channel():
    x = numbers((2, 3, 4, 5))
    np.testing.assert_allclose(adaptive_avg_pool2d(leaf(x), 1).data[..., 0, 0], x.mean((2, 3)))


@pytest.mark.parametrize("pool", [adaptive_avg_pool2d, adaptive_max_pool2d])
def test_adaptive_pooling_has_its_gradients(pool):
    x = np.random.default_rng(0).permutation(24).reshape(1, 2, 3, 4) / 4
    gradcheck(lambda x: pool(x, (2, 3)) ** 2, x, order=2)


def test_pools_that_make_no_sense_are_named():
    x = leaf(np.ones((1, 1, 3, 3)))
    with pytest.raises(ShapeError, match="max_pool2d: a kernel of 4x1 does not fit into 3x3"):
        max_pool2d(x, (4, 1))
    with pytest.raises(OperandError, match=r"avg_pool2d: padding .* more than half of the kernel"):
        avg_pool2d(x, 2, padding=2)
    with pytest.raises(ShapeError, match=r"max_pool1d takes x \(N, C, L\)"):
        max_pool1d(x, 2)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize(
    "pool",
    [
        lambda x: max_pool2d(x, 2),
        lambda x: avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
        lambda x: adaptive_avg_pool2d(x, 2),
        lambda x: adaptive_max_pool2d(x, 2),
    ],
)
def test_a_dtype_stays(pool, dtype):
    x = leaf(numbers((2, 2, 4, 4)), dtype)
    y = pool(x)
    y.sum().backward()
    assert y.dtype == x.grad.dtype == dtype
