"""Colours tell sign and size, and never hide the text on them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz.dot import INK
from viz.scale import Scale

finite = st.floats(allow_nan=False, allow_infinity=False)


def luminance(colour):
    """Relative luminance (WCAG 2, definition of relative luminance)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@given(st.lists(finite, min_size=1), st.booleans())
def test_text_keeps_the_contrast_that_wcag_aaa_asks_for(gradients, signed):
    scale = Scale.of(gradients if signed else map(abs, gradients), signed)
    for gradient in gradients:
        fill, _ = scale.colours(gradient if signed else abs(gradient))
        assert (luminance(fill) + 0.05) / (luminance(INK) + 0.05) >= 7


@given(st.lists(st.floats(1e-300, 1e300), min_size=2))
def test_a_larger_gradient_is_never_lighter(sizes):
    scale = Scale.of(sizes, signed=True)
    shades = [luminance(scale.colours(size)[0]) for size in sorted(sizes)]
    assert shades == sorted(shades, reverse=True)


@given(st.floats(min_value=5e-324, max_value=1e308))
def test_a_sign_has_its_own_fill_and_border(size):
    scale = Scale.of([size], signed=True)
    negative, positive = scale.colours(-size), scale.colours(size)
    assert negative[0] != positive[0]
    assert negative[1] != positive[1]


@pytest.mark.parametrize("gradient", [None, 0.0, math.nan, math.inf])
def test_what_has_no_size_has_no_tint(gradient):
    assert Scale(1.0, signed=True).colours(gradient)[0] == "#ffffff"


def test_gradients_that_are_not_finite_do_not_stretch_the_scale():
    assert Scale.of([math.inf, math.nan, None, -2.0], signed=True).largest == 2.0
