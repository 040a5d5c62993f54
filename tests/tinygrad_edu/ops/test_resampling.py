"""Resampling to another size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import ShapeError, Tensor
from tinygrad_edu.errors import OperandError, UnknownNameError
from tinygrad_edu.ops.pooling import adaptive_avg_pool2d
from tinygrad_edu.ops.resampling import interpolate
from tinygrad_edu.testing import gradcheck


def leaf(data, dtype=np.float64):
    return Tensor(np.array(data, dtype=dtype), requires_grad=True)


def numbers(shape, seed=0):
    """Whole numbers, whose sums of products are exact."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(float)


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


@given(st.integers(2, 5), st.integers(2, 7))
def test_aligned_corners_keep_their_places(length, size):
    x = numbers((1, 1, length))
    expected = np.interp(np.linspace(0, length - 1, size), np.arange(length), x[0, 0])
    y = interpolate(leaf(x), size, mode="linear", align_corners=True)
    np.testing.assert_allclose(y.data[0, 0], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("align_corners", [False, True])
def test_bicubic_resampling_of_a_ramp_is_off_by_what_its_weights_say(align_corners):
    # Keys' weights with a = -1/2 are exact for a ramp. Those with a = -3/4 differ from them by
    # -1/4 of d(1 - d)², -d²(1 - d), -d(1 - d)² and d²(1 - d), at a distance d from the second of
    # the four entries: for a ramp that is d(1 - d)(1 - 2d) / 2, away from the edges.
    x = np.broadcast_to(np.arange(8.0), (1, 1, 8, 8)).copy()
    y = interpolate(leaf(x), (8, 15), mode="bicubic", align_corners=align_corners).data[0, 0, 3]
    i = np.arange(3, 12)
    place = i / 2 if align_corners else (i + 0.5) * 8 / 15 - 0.5
    d = place % 1
    np.testing.assert_allclose(y[i], place + d * (1 - d) * (1 - 2 * d) / 2, rtol=1e-12)


def test_the_nearest_entry_is_the_one_to_the_left_or_exactly_the_nearest():
    # Three of five: at ⅓, 2 and 3⅔ the nearest are 0, 2 and 4; ⌊5 i / 3⌋ is 0, 1 and 3.
    x = leaf([[[0.0, 1, 2, 3, 4]]])
    assert interpolate(x, 3, mode="nearest-exact").data.tolist() == [[[0, 2, 4]]]
    assert interpolate(x, 3).data.tolist() == [[[0, 1, 3]]]


def test_an_area_is_the_mean_of_what_it_covers():
    x = leaf(numbers((2, 3, 5, 4)))
    y = interpolate(x, (2, 3), mode="area")
    np.testing.assert_array_equal(y.data, adaptive_avg_pool2d(x, (2, 3)).data)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic", "area"])
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
    with pytest.raises(OperandError, match="align_corners= with modes bilinear and bicubic, not"):
        interpolate(x, 3, align_corners=False)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic", "area"])
def test_a_dtype_stays(mode, dtype):
    x = leaf(numbers((1, 1, 3, 3)), dtype)
    y = interpolate(x, 5, mode=mode)
    y.sum().backward()
    assert y.dtype == x.grad.dtype == dtype
