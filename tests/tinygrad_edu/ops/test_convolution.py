"""Convolution, pooling and resampling, against definitions in plain loops."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tinygrad_edu import ShapeError, Tensor
from tinygrad_edu.errors import OperandError, UnknownNameError
from tinygrad_edu.ops.convolution import (
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    fold,
    interpolate,
    max_pool1d,
    max_pool2d,
    unfold,
)
from tinygrad_edu.testing import gradcheck


def leaf(data, dtype=np.float64):
    return Tensor(np.array(data, dtype=dtype), requires_grad=True)


def numbers(shape, seed=0):
    """Whole numbers, whose sums of products are exact."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(float)


def windows_of(x, kernel, stride, padding, dilation, fill):
    """For each window of a padded x, its place and its entries; in plain loops."""
    n = len(kernel)
    x = np.pad(x, [(0, 0)] * (x.ndim - n) + [(p, p) for p in padding], constant_values=fill)
    lengths = [
        len(range(0, x.shape[x.ndim - n + i] - dilation[i] * (kernel[i] - 1), stride[i]))
        for i in range(n)
    ]
    for place in itertools.product(*map(range, lengths)):
        slices = tuple(
            slice(i * s, i * s + d * (k - 1) + 1, d)
            for i, s, d, k in zip(place, stride, dilation, kernel, strict=True)
        )
        yield lengths, place, x[(..., *slices)]


def convolved(x, weight, bias, stride, padding, dilation, groups):
    """The definition: every output is a sum of products over a window."""
    kernel, out = weight.shape[2:], len(weight)
    each, per_group = weight.shape[1], out // groups
    for lengths, place, window in windows_of(x, kernel, stride, padding, dilation, 0):
        if not any(place):
            y = np.empty((len(x), out, *lengths))
        for n, o in itertools.product(range(len(x)), range(out)):
            channels = o // per_group * each
            y[n, o][place] = np.sum(window[n, channels : channels + each] * weight[o]) + bias[o]
    return y


CONVOLUTIONS = {1: conv1d, 2: conv2d, 3: conv3d}
TRANSPOSED = {1: conv_transpose1d, 2: conv_transpose2d, 3: conv_transpose3d}


@st.composite
def calls(draw):
    """A size, a kernel and the options of a convolution in 1, 2 or 3 dimensions."""
    n = draw(st.integers(1, 3))

    def each(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(n))

    kernel, dilation, padding = each(1, 3), each(1, 2), each(0, 2)
    size, stride = each(1, 6 - n), each(1, 3)
    extents = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    assume(all(e <= m + 2 * p for e, m, p in zip(extents, size, padding, strict=True)))
    groups = draw(st.integers(1, 2))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    channels, out = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    x = numbers((draw(st.integers(0, 2)), channels, *size))
    return n, x, numbers((out, channels // groups, *kernel), 1), numbers(out, 2), options


@given(calls())
@settings(max_examples=60)
def test_a_convolution_is_its_definition(call):
    n, x, weight, bias, options = call
    y = CONVOLUTIONS[n](leaf(x), leaf(weight), leaf(bias), **options)
    np.testing.assert_array_equal(y.data, convolved(x, weight, bias, **options), strict=True)


@given(calls())
@settings(max_examples=60)
def test_a_transposed_convolution_is_the_adjoint_and_so_is_each_gradient(call):
    # ⟨conv(x, w), g⟩ = ⟨x, transposed(g, w)⟩, exactly for whole numbers; and since that sum is
    # linear in each of x, w and g, it is each one's product with its gradient as well.
    n, x, weight, _, options = call
    x, weight = leaf(x), leaf(weight)
    y = CONVOLUTIONS[n](x, weight, **options)
    g = leaf(numbers(y.shape, 3))
    (y * g).sum().backward()
    product = np.sum(y.data * g.data)
    for node in (x, weight, g):
        assert np.sum(node.data * node.grad) == product
    spare = [
        (m + 2 * p - d * (k - 1) - 1) % s
        for m, p, d, k, s in zip(
            x.shape[2:],
            options["padding"],
            options["dilation"],
            weight.shape[2:],
            options["stride"],
            strict=True,
        )
    ]
    back = TRANSPOSED[n](g, weight, None, output_padding=tuple(spare), **options)
    np.testing.assert_array_equal(back.data, x.grad, strict=True)


def test_each_entry_of_the_gradients_is_right_too():
    x, weight, bias = numbers((2, 4, 5, 4)), numbers((2, 2, 3, 2), 1), numbers(2, 2)
    options = {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2), "groups": 2}
    gradcheck(lambda *inputs: conv2d(*inputs, **options), x, weight, bias)
    del options["padding"]
    y = numbers((1, 2, 2, 2))
    gradcheck(lambda *inputs: conv_transpose2d(*inputs, **options), y, weight, numbers(4))


def test_a_convolution_in_numpy_numbers_needs_no_tensor():
    x, weight = numbers((1, 1, 3, 3)), numbers((1, 1, 2, 2))
    np.testing.assert_array_equal(conv2d(x, weight), conv2d(leaf(x), weight).data)


@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
def test_padding_same_keeps_the_size(kernel):
    x, weight = numbers((1, 1, 5, 6)), numbers((1, 1, kernel, 3))
    assert conv2d(leaf(x), weight, padding="same", dilation=2).shape == x.shape
    assert conv2d(leaf(x), weight, padding="valid").shape == (1, 1, 6 - kernel, 4)


def test_padding_same_of_an_even_kernel_pads_more_after():
    x, weight = np.array([[[1.0, 2, 3]]]), np.array([[[1.0, 10]]])
    assert conv1d(leaf(x), weight, padding="same").data.tolist() == [[[21, 32, 3]]]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize(
    "f",
    [
        lambda x, w: conv2d(x, w, w[:, 0, 0, 0], padding=1),
        lambda x, w: conv_transpose2d(x, w, stride=2),
        lambda x, w: max_pool2d(x, 2) * w,
        lambda x, w: avg_pool2d(x, 3, 2, 1, count_include_pad=False) * w,
        lambda x, w: adaptive_avg_pool2d(x, 2) * w,
        lambda x, w: adaptive_max_pool2d(x, 2) * w,
        lambda x, w: fold(unfold(x, 2), 4, 2)[..., :2, :2] * w,
        lambda x, w: interpolate(x, 2, mode="bilinear") * w,
    ],
)
def test_a_dtype_stays(f, dtype):
    x, weight = leaf(numbers((2, 2, 4, 4)), dtype), leaf(numbers((2, 2, 2, 2)), dtype)
    y = f(x, weight)
    y.sum().backward()
    assert {y.dtype, x.grad.dtype, weight.grad.dtype} == {np.dtype(dtype)}


@pytest.mark.parametrize(
    ("x", "weight", "options", "message"),
    [
        ((1, 3, 5, 5), (2, 4, 3, 3), {}, r"x \(1, 3, 5, 5\) has 3 channels, and the weight .* 4$"),
        ((1, 1, 2, 9), (1, 1, 3, 3), {}, "a kernel of 3x3 does not fit into 2x9$"),
        ((1, 1, 2, 2), (1, 1, 3, 3), {"padding": 1, "dilation": 2},
         "a kernel of 3x3, dilated to 5x5, does not fit into 2x2, which is 4x4 with padding"),
        ((1, 4, 5, 5), (3, 2, 1, 1), {"groups": 2}, "2 groups do not divide the 4 .* 3 rows"),
        ((1, 4, 5), (3, 2, 1, 1), {}, r"takes x \(N, C, H, W\), not an array of shape \(1, 4, 5\)"),
        ((1, 4, 5, 5), (3, 2, 1), {}, r"of 4 axes, not one of shape \(3, 2, 1\)"),
        ((1, 1, 5, 5), (2, 1, 1, 1), {"bias": np.ones(3)}, r"shape \(2,\), not \(3,\)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(x, weight, options, message):
    with pytest.raises(ShapeError, match=f"conv2d.*{message}"):
        conv2d(leaf(np.ones(x)), np.ones(weight), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 0}, "stride= as one whole number or 2, each at least 1, not 0"),
        ({"padding": (1, -1)}, "padding= as one whole number or 2, each at least 0"),
        ({"dilation": (1, 1, 1)}, "dilation= as one whole number or 2"),
        ({"stride": 2, "padding": "same"}, "stride of 1 only"),
    ],
)
def test_options_that_make_no_sense_are_named(options, message):
    with pytest.raises(OperandError, match=f"conv2d.*{message}"):
        conv2d(leaf(np.ones((1, 1, 3, 3))), np.ones((1, 1, 1, 1)), **options)
    with pytest.raises(UnknownNameError, match="Did you mean 'same'"):
        conv2d(leaf(np.ones((1, 1, 3, 3))), np.ones((1, 1, 1, 1)), padding="sam")


def test_transposed_convolutions_refuse_what_no_convolution_undoes():
    x, weight = leaf(np.ones((1, 1, 2, 2))), np.ones((1, 1, 2, 2))
    with pytest.raises(OperandError, match=r"output_padding \(2, 2\) must be smaller"):
        conv_transpose2d(x, weight, stride=2, output_padding=2)
    with pytest.raises(ShapeError, match="leaves nothing"):
        conv_transpose2d(x, weight, padding=2)
    with pytest.raises(ShapeError, match=r"3 channels, and the weight .* takes 1"):
        conv_transpose2d(leaf(np.ones((1, 3, 2, 2))), weight)


# Pooling


@st.composite
def pools(draw):
    kernel = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    stride = draw(st.none() | st.tuples(st.integers(1, 3), st.integers(1, 3)))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    size = tuple(draw(st.integers(k, 5)) for k in kernel)
    return numbers((draw(st.integers(0, 2)), 2, *size)), kernel, stride, padding


@given(pools(), st.sampled_from(["max", "mean", "counted"]))
@settings(max_examples=60)
def test_pooling_is_its_definition(call, kind):
    x, kernel, stride, padding = call
    fill = {"max": -np.inf, "mean": 0, "counted": np.nan}[kind]
    reduce = {"max": np.max, "mean": np.mean, "counted": np.nanmean}[kind]
    for lengths, place, window in windows_of(x, kernel, stride or kernel, padding, (1, 1), fill):
        if not any(place):
            expected = np.empty((*x.shape[:2], *lengths))
        expected[(..., *place)] = reduce(window, axis=(2, 3))
    if kind == "max":
        y = max_pool2d(leaf(x), kernel, stride, padding)
    else:
        y = avg_pool2d(leaf(x), kernel, stride, padding, count_include_pad=kind == "mean")
    np.testing.assert_allclose(y.data, expected, rtol=1e-15, atol=1e-15, strict=True)


def test_pooling_along_one_axis():
    x = leaf([[[1.0, 5, 2, 4]]])
    assert max_pool1d(x, 2).data.tolist() == [[[5, 4]]]
    assert max_pool1d(x, 2, stride=1, dilation=2).data.tolist() == [[[2, 5]]]
    assert avg_pool1d(x, 2, stride=1).data.tolist() == [[[3, 3.5, 3]]]


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


# Windows as columns


@given(pools(), st.tuples(st.integers(1, 2), st.integers(1, 2)))
def test_unfold_has_the_windows_as_columns_and_fold_is_its_adjoint(call, dilation):
    x, kernel, stride, padding = call
    stride = stride or kernel
    assume(all(d * (k - 1) < n for d, k, n in zip(dilation, kernel, x.shape[2:], strict=True)))
    columns = unfold(leaf(x), kernel, dilation, padding, stride)
    windows = [
        window.reshape(len(x), 2 * math.prod(kernel))
        for _, _, window in windows_of(x, kernel, stride, padding, dilation, 0)
    ]
    np.testing.assert_array_equal(columns.data, np.stack(windows, -1))
    y = numbers(columns.shape, 1)
    back = fold(leaf(y), x.shape[2:], kernel, dilation, padding, stride)
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


# Resampling


def test_the_nearest_entry_is_repeated_or_left_out():
    x = leaf([[[1.0, 2, 3]]])
    assert interpolate(x, 6).data.tolist() == [[[1, 1, 2, 2, 3, 3]]]
    assert interpolate(x, scale_factor=2).data.tolist() == [[[1, 1, 2, 2, 3, 3]]]
    assert interpolate(x, 2).data.tolist() == [[[1, 2]]]
    assert interpolate(x, scale_factor=0.5).data.tolist() == [[[1]]]


def test_bilinear_weights_are_those_of_the_distance():
    # The result's entries stand at -¼, ¼, ¾ and 1¼ of the input's, the outer ones at its edge.
    x = leaf([[[[0.0, 4.0]]]])
    assert interpolate(x, (1, 4), mode="bilinear").data.tolist() == [[[[0, 1, 3, 4]]]]


@given(st.integers(1, 5), st.integers(1, 7))
def test_linear_resampling_is_numpys_interpolation(length, size):
    x = numbers((1, 1, length))
    places = (np.arange(size) + 0.5) * length / size - 0.5
    expected = np.interp(places, np.arange(length), x[0, 0])
    y = interpolate(leaf(x), size, mode="linear")
    np.testing.assert_allclose(y.data[0, 0], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_resampling_has_its_gradients(mode):
    gradcheck(lambda x: interpolate(x, (3, 5), mode=mode) ** 2, numbers((1, 2, 2, 4)), order=2)


def test_resampling_that_makes_no_sense_is_named():
    x = leaf(np.ones((1, 1, 2, 2)))
    with pytest.raises(OperandError, match="one of size= and scale_factor="):
        interpolate(x)
    with pytest.raises(UnknownNameError, match=r"for 2 spatial axes 'linear'.*'bilinear'"):
        interpolate(x, 3, mode="linear")
    with pytest.raises(ShapeError, match="cannot make 2x2 into 0x0"):
        interpolate(x, scale_factor=0.4)
