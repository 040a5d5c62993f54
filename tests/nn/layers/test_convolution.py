"""Convolutions as layers: their definition, their adjoints, and what they refuse."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import nn
import tinygrad_edu as tg


def normal(*shape):
    return np.random.default_rng(shape).normal(size=shape)


@st.composite
def options(draw):
    """The options of a two-dimensional convolution, and an image that it takes."""
    kernel, dilation, padding = (
        tuple(draw(st.integers(low, high)) for _ in range(2))
        for low, high in [(1, 3), (1, 2), (0, 2)]
    )
    size, stride = (tuple(draw(st.integers(1, n)) for _ in range(2)) for n in (5, 3))
    extents = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    assume(all(e <= n + 2 * p for e, n, p in zip(extents, size, padding, strict=True)))
    groups = draw(st.integers(1, 2))
    sizes = (groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2)), kernel)
    return sizes, (stride, padding, dilation, groups), normal(2, sizes[0], *size)


def by_definition(x, weight, stride, padding, dilation, groups):
    """Each output is a sum of products over a window, loop by loop."""
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    out, channels, *kernel = weight.shape
    size = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(x.shape[2:], kernel, stride, dilation, strict=True)
    ]
    y = np.zeros((len(x), out, *size))
    for n, o, i, j in np.ndindex(y.shape):
        first = o // (out // groups) * channels  # the first channel that this group sees
        for c, k, m in np.ndindex(channels, *kernel):
            place = i * stride[0] + k * dilation[0], j * stride[1] + m * dilation[1]
            y[n, o, i, j] += weight[o, c, k, m] * x[n, first + c, *place]
    return y


@given(options())
def test_a_convolution_is_the_sum_over_windows(drawn):
    sizes, geometry, x = drawn
    conv = nn.Conv2d(*sizes, *geometry, dtype=np.float64)
    conv.bias.data += np.arange(sizes[1])
    expected = by_definition(x, conv.weight.data, *geometry) + conv.bias.data[:, None, None]
    np.testing.assert_allclose(conv(x).data, expected, atol=1e-12)


@given(options())
def test_a_transposed_convolution_is_the_adjoint(drawn):
    (channels, out, kernel), (stride, padding, dilation, groups), x = drawn
    conv = nn.Conv2d(
        channels, out, kernel, stride, padding, dilation, groups, bias=False, dtype=np.float64
    )
    y = conv(x).data
    b = normal(*y.shape)
    left_over = [
        (n + 2 * p - d * (k - 1) - 1) % s
        for n, k, s, p, d in zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
    ]
    transposed = nn.ConvTranspose2d(
        out, channels, kernel, stride, padding, left_over, groups, False, dilation, dtype=np.float64
    )
    transposed.load_state_dict(conv.state_dict())
    assert (y * b).sum() == pytest.approx((x * transposed(b).data).sum())


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_every_number_of_axes_has_a_convolution_and_its_adjoint(ndim):
    conv = getattr(nn, f"Conv{ndim}d")(2, 3, 2, bias=False)
    transposed = getattr(nn, f"ConvTranspose{ndim}d")(3, 2, 2, bias=False)
    transposed.load_state_dict(conv.state_dict())
    a = normal(2, 2, *(4, 3, 5)[:ndim]).astype(np.float32)
    y = conv(a).data
    assert (y * y).sum() == pytest.approx((a * transposed(y).data).sum(), rel=1e-5)


def test_a_depthwise_convolution_is_one_for_each_channel():
    depthwise = nn.Conv2d(3, 3, 2, groups=3, dtype=np.float64)
    x = normal(2, 3, 4, 4)
    for c in range(3):
        alone = nn.Conv2d(1, 1, 2, dtype=np.float64)
        alone.load_state_dict({k: p[c : c + 1] for k, p in depthwise.state_dict().items()})
        np.testing.assert_allclose(depthwise(x).data[:, [c]], alone(x[:, [c]]).data)


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, (2, 5)])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_same_padding_keeps_the_size_and_every_mode_is_alike_inside(kernel, dilation, mode):
    conv = nn.Conv2d(1, 1, kernel, 1, "same", dilation, padding_mode=mode)
    zeros = nn.Conv2d(1, 1, kernel, 1, "same", dilation)
    zeros.load_state_dict(conv.state_dict())
    x = normal(1, 1, 9, 10).astype(np.float32)
    assert conv(x).shape == x.shape
    assert conv(x).data[0, 0, 4, 4] == zeros(x).data[0, 0, 4, 4]  # its window is all inside


@pytest.mark.parametrize("mode", ["zeros", "reflect"])
def test_valid_padding_is_none(mode):
    valid = nn.Conv2d(1, 1, 3, padding="valid", padding_mode=mode)
    assert valid(np.ones((1, 1, 5, 6), np.float32)).shape == (1, 1, 3, 4)


def test_a_circular_convolution_moves_with_its_input():
    conv = nn.Conv1d(2, 3, 3, padding="same", padding_mode="circular", dtype=np.float64)
    x = normal(1, 2, 7)
    np.testing.assert_allclose(conv(np.roll(x, 2, -1)).data, np.roll(conv(x).data, 2, -1))


@pytest.mark.parametrize(
    ("mode", "padded"), [("reflect", [3, 2, 1, 2, 3]), ("replicate", [1, 1, 1, 2, 3])]
)
def test_what_is_around_an_image_is_what_the_mode_says(mode, padded):
    conv = nn.Conv1d(1, 1, 1, padding=(2,), padding_mode=mode, dtype=np.float64)
    conv.weight.data[:] = 1
    assert conv(np.array([[[1.0, 2.0, 3.0]]])).data[0, 0, :5].tolist() == padded


@pytest.mark.parametrize("groups", [1, 4])
def test_initial_weights_keep_the_variance_through_a_relu(groups):
    conv = nn.Conv2d(64, 128, 3, groups=groups, nonlinearity="relu", rng=np.random.default_rng(0))
    fan_in = 64 // groups * 9
    # The standard error of a variance over 18,432 draws or more is about 1 %.
    assert conv.weight.data.var() == pytest.approx(2 / fan_in, rel=0.05)


@pytest.mark.parametrize("make", [nn.Conv2d, nn.ConvTranspose2d])
def test_an_image_keeps_its_scale_through_a_convolution(make):
    layer = make(64, 64, 4, 2, rng=np.random.default_rng(0))
    x = np.random.default_rng(1).normal(size=(4, 64, 12, 12)).astype(np.float32)
    inner = layer(x).data[:, :, 2:-2, 2:-2]
    # Glorot's variance is between that of keeping the forward pass and the backward pass.
    assert math.sqrt(0.3) < inner.std() < math.sqrt(2)


def test_the_printout_shows_what_is_not_the_default():
    conv = nn.Conv2d(3, 4, 3, padding="same", padding_mode="circular", bias=False)
    assert str(conv).startswith(
        "Conv2d(3 -> 4, kernel_size=(3, 3), padding='same', padding_mode='circular')"
    )
    transposed = nn.ConvTranspose1d(3, 4, 3, stride=2, output_padding=1)
    assert "stride=(2,), output_padding=(1,))" in str(transposed)


def test_the_bias_starts_at_zero_and_may_be_left_out():
    assert not nn.Conv2d(1, 2, 3).bias.data.any()
    assert [name for name, _ in nn.Conv2d(1, 2, 3, bias=False).named_parameters()] == ["weight"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "2 groups do not divide 3 in_channels"),
        (lambda: nn.Conv2d(0, 4, 3), "Conv2d's in_channels must be a positive integer, not 0"),
        (lambda: nn.LazyConv2d(4, 3, groups=0), "groups must be a positive integer, not 0"),
        (lambda: nn.Conv2d(3, 4, 3, padding="sames"), "Did you mean 'same'"),
        (lambda: nn.Conv2d(3, 4, 3, padding_mode="reflct"), "Did you mean 'reflect'"),
        (lambda: nn.Conv2d(3, 4, 3, nonlinearity="rellu"), "Did you mean 'relu'"),
        (lambda: nn.Conv2d(3, 4, 3, 2, "same"), "padding='same' for a stride of 1 only"),
        (lambda: nn.Conv2d(3, 4, (3, 3, 3)), "kernel_size= as one whole number or 2"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, padding="same"), "padding in numbers"),
    ],
)
def test_options_that_make_no_sense_are_refused(make, message):
    with pytest.raises(tg.TinygradError, match=message):
        make()


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 2, 2), r"kernel of 3x3 does not fit into 2x2.*features\.0"),
        ((1, 4, 8, 8), r"4 channels.*takes 3.*features\.0"),
        ((3, 8, 8), r"takes x \(N, C, H, W\).*x\[None\].*features\.0"),
    ],
)
def test_an_image_that_does_not_fit_names_the_layer(shape, message):
    model = nn.Sequential({"features": nn.Sequential(nn.Conv2d(3, 4, 3))})
    with pytest.raises(tg.ShapeError, match=message):
        model(np.ones(shape, np.float32))


def test_an_image_that_cannot_be_surrounded_names_the_layer():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"))
    with pytest.raises(tg.ShapeError, match=r"in 0 takes x \(N, C, H, W\).*x\[None\]"):
        model(np.ones((3, 8, 8), np.float32))
