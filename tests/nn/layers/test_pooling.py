"""Pooling as layers: windows by definition, ties, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

import nn
import tinygrad_edu as tg
from tinygrad_edu import Tensor

REDUCTIONS = {"Max": np.max, "Avg": np.mean}


def normal(*shape):
    return np.random.default_rng(shape).normal(size=shape)


@pytest.mark.parametrize("kind", REDUCTIONS)
@given(ndim=st.integers(1, 3), kernel=st.integers(1, 3), stride=st.integers(1, 3))
def test_pooling_reduces_each_window(kind, ndim, kernel, stride):
    x, axes = normal(2, 2, *(5, 4, 3)[:ndim]), tuple(range(2, 2 + ndim))
    windows = sliding_window_view(x, (kernel,) * ndim, axes)[
        (..., *[slice(None, None, stride)] * ndim, *[slice(None)] * ndim)
    ]
    expected = REDUCTIONS[kind](windows, tuple(range(2 + ndim, 2 + 2 * ndim)))
    y = getattr(nn, f"{kind}Pool{ndim}d")(kernel, stride)(x)
    np.testing.assert_allclose(y, expected)


@pytest.mark.parametrize("kind", REDUCTIONS)
@given(ndim=st.integers(1, 3), output=st.integers(1, 4))
def test_adaptive_pooling_reduces_windows_that_cover_the_image(kind, ndim, output):
    x = normal(2, 1, *(5, 4, 3)[:ndim])
    y = getattr(nn, f"Adaptive{kind}Pool{ndim}d")(output)(x)
    for place in np.ndindex(y.shape[2:]):
        window = tuple(
            slice(i * n // output, -(-(i + 1) * n // output))
            for i, n in zip(place, x.shape[2:], strict=True)
        )
        expected = REDUCTIONS[kind](x[:, :, *window], tuple(range(2, x.ndim)))
        np.testing.assert_allclose(y[:, :, *place], expected)


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.AdaptiveMaxPool2d(1)])
def test_of_entries_that_tie_the_first_gets_the_gradient(pool):
    x = Tensor(np.zeros((1, 1, 2, 2)), requires_grad=True)
    pool(x).sum().backward()
    assert x.grad.tolist() == [[[[1, 0], [0, 0]]]]


def test_the_stride_is_the_kernel_unless_given():
    assert nn.MaxPool2d(2)(np.ones((1, 1, 6, 6))).shape == (1, 1, 3, 3)
    assert nn.AvgPool2d((2, 3), stride=1)(np.ones((1, 1, 6, 6))).shape == (1, 1, 5, 4)


def test_ceil_mode_has_a_window_for_the_rest():
    x = np.arange(5.0).reshape(1, 1, 5)
    assert nn.MaxPool1d(2, ceil_mode=True)(x).tolist() == [[[1, 3, 4]]]
    assert nn.AvgPool1d(2, ceil_mode=True)(x).tolist() == [[[0.5, 2.5, 4]]]


def test_the_padding_counts_in_a_mean_only_if_asked():
    x = np.ones((1, 1, 2, 2))
    assert nn.AvgPool2d(2, padding=1)(x)[0, 0, 0, 0] == 0.25
    assert nn.AvgPool2d(2, padding=1, count_include_pad=False)(x)[0, 0, 0, 0] == 1


def test_none_in_an_adaptive_size_keeps_the_length():
    assert nn.AdaptiveAvgPool2d((None, 2))(np.ones((1, 1, 5, 6))).shape == (1, 1, 5, 2)


@given(ndim=st.integers(1, 4))
def test_global_pooling_is_the_mean_of_each_channel(ndim):
    x = normal(2, 3, *(2, 3, 4, 1)[:ndim])
    expected = x.reshape(2, 3, -1).mean(-1)
    np.testing.assert_allclose(nn.GlobalAvgPool()(x), expected)


@pytest.mark.parametrize("make", [nn.MaxPool2d, nn.AvgPool2d])
def test_windows_that_make_no_sense_are_refused(make):
    with pytest.raises(nn.ConfigurationError, match="more than half"):
        make(2, padding=2)
    with pytest.raises(tg.OperandError, match="stride"):
        make(2, stride=0)
    with pytest.raises(tg.OperandError, match="output_size"):
        nn.AdaptiveAvgPool2d(0)


def test_an_image_that_does_not_fit_names_the_layer():
    model = nn.Sequential(nn.Identity(), nn.MaxPool2d(3), nn.GlobalAvgPool())
    with pytest.raises(tg.ShapeError, match=r"kernel of 3x3 does not fit into 2x2.*in 1\b"):
        model(np.ones((1, 1, 2, 2)))
    with pytest.raises(tg.ShapeError, match=r"in 2 takes x \(N, C, \.\.\.\)"):
        nn.Sequential(nn.Identity(), nn.Identity(), nn.GlobalAvgPool())(np.ones((2, 3)))
