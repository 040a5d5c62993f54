"""Convolution and its transpose, against their definition."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from tinygrad_edu import ShapeError, Tensor
from tinygrad_edu.errors import OperandError, UnknownNameError
from tinygrad_edu.ops.convolution import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from tinygrad_edu.testing import gradcheck


def leaf(data, dtype=np.float64):
    return Tensor(np.array(data, dtype=dtype), requires_grad=True)


def numbers(shape, seed=0):
    """Whole numbers, whose sums of products are exact."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(float)


def convolved(x, weight, bias, stride, padding, dilation, groups):
    """The definition: every output is a sum of products over a window."""
    (rows, channels, *kernel), axes = weight.shape, range(2, x.ndim)
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    extents = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    steps = (slice(None, None, step) for step in (*stride, *dilation))
    windows = sliding_window_view(x, extents, tuple(axes))[(..., *steps)]
    output = windows.shape[2 : x.ndim]
    y = np.einsum(
        "ngcik,gock->ngoi",
        windows.reshape(len(x), groups, channels, math.prod(output), math.prod(kernel)),
        weight.reshape(groups, rows // groups, channels, math.prod(kernel)),
    )
    return y.reshape(len(x), rows, *output) + bias.reshape(-1, *(1 for _ in axes))


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
def test_each_gradient_alone_is_what_it_is_beside_the_others(call):
    n, x, weight, bias, options = call
    arrays = (x, weight, bias)

    def gradients(*learned):
        leaves = [Tensor(a, requires_grad=i in learned) for i, a in enumerate(arrays)]
        y = CONVOLUTIONS[n](*leaves, **options)
        y.backward(numbers(y.shape, 3))
        return [leaf.grad for leaf in leaves]

    for i, together in enumerate(gradients(0, 1, 2)):
        np.testing.assert_array_equal(gradients(i)[i], together, strict=True)


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


def test_room_beyond_the_windows_takes_no_part_in_the_gradients():
    # An output_padding of 1 with a stride of 1: a dilated kernel fits once more into the result.
    options = {"dilation": 2, "output_padding": 1, "padding": 1}
    y, weight = numbers((1, 1, 3, 2)), numbers((1, 1, 2, 3), 1)
    gradcheck(lambda y, w: conv_transpose2d(y, w, **options) ** 2, y, weight, order=2)


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
        ((1, 4, 5), (3, 2, 1, 1), {}, r"takes x \(N, C, H, W\), not an array of shape \(1, 4, 5\);"
                                         r" x\[None\] is a batch of one$"),
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
