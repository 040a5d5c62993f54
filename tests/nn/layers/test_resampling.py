"""Upsample: the laws that a resampled image keeps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
import tinygrad_edu as tg

IMAGE_MODES = ["nearest", "nearest-exact", "area", "bilinear", "bicubic"]


def normal(*shape):
    return np.random.default_rng(shape).normal(size=shape)


@pytest.mark.parametrize("mode", IMAGE_MODES)
@given(size=st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_a_constant_image_stays_constant(mode, size):
    y = nn.Upsample(size, mode=mode)(np.full((1, 2, 3, 4), 2.5))
    np.testing.assert_allclose(y, np.full((1, 2, *size), 2.5))


@pytest.mark.parametrize("mode", IMAGE_MODES)
def test_the_same_size_is_the_same_image(mode):
    x = normal(2, 3, 4, 5)
    np.testing.assert_allclose(nn.Upsample((4, 5), mode=mode)(x), x, atol=1e-12)


def test_the_nearest_at_a_whole_factor_repeats_every_entry():
    x = normal(1, 2, 3, 2)
    expected = x.repeat(2, -1).repeat(3, -2)
    np.testing.assert_array_equal(nn.Upsample(scale_factor=(3, 2))(x), expected)


@pytest.mark.parametrize(("ndim", "mode"), [(1, "linear"), (2, "bilinear"), (3, "trilinear")])
def test_aligned_corners_keep_their_values_and_ramps_stay_ramps(ndim, mode):
    x = np.indices((3,) * ndim).sum(0).astype(float)[None, None]
    y = nn.Upsample(5, mode=mode, align_corners=True)(x)
    np.testing.assert_allclose(y[0, 0], np.indices((5,) * ndim).sum(0) / 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "one of size= and scale_factor="),
        ({"size": 4, "scale_factor": 2}, "one of size= and scale_factor="),
        ({"size": 4, "mode": "bilinaer"}, "Did you mean 'bilinear'"),
        ({"size": 4, "align_corners": True}, "with modes linear, bilinear, bicubic, trilinear"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(tg.TinygradError, match=message):
        nn.Upsample(**options)


def test_a_mode_for_another_number_of_axes_is_refused_by_the_layer():
    with pytest.raises(tg.UnknownNameError, match=r"2 spatial axes.*bilinear.*in 0\b"):
        nn.Sequential(nn.Upsample(4, mode="trilinear"))(np.ones((1, 1, 2, 2)))
