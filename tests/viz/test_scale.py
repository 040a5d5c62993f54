"""The scale of gradients: even to the eye, also in greyscale and to colour-blind eyes."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg
from viz.plots.style import LOOKS
from viz.scale import DARK, DECADES, LIGHT, Scale, is_exploded, theme_named

THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
SIZES = [10 ** (-DECADES + DECADES * i / 16) for i in range(17)]
# Every fill of a scale whose largest gradient is 1, from the faintest to the strongest.
ARMS = {"negative": (True, -1), "positive": (True, 1), "norm": (False, 1)}


def fills(theme, arm):
    signed, sign = ARMS[arm]
    return [Scale(1.0, signed, theme).colours(sign * size)[0] for size in SIZES]


def linear_light(colour):
    """sRGB's red, green and blue as shares of light; source: IEC 61966-2-1."""
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def luminance(colour):
    return float(linear_light(colour) @ [0.2126, 0.7152, 0.0722])


def contrast(one, other):
    """Source: WCAG 2.1, contrast ratio."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def cielab(light):
    """L*, a* and b* of linear sRGB under D65; source: CIE 15."""
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = to_xyz @ light / [0.95047, 1.0, 1.08883]
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@THEMES
@pytest.mark.parametrize("arm", ARMS)
def test_text_on_every_fill_has_the_contrast_that_wcag_asks_for(theme, arm):
    assert min(contrast(fill, theme.ink) for fill in fills(theme, arm)) >= 4.5


@THEMES
def test_text_and_borders_stand_out_from_the_paper_too(theme):
    for text in (theme.ink, theme.muted):
        assert contrast(text, theme.paper) >= 4.5
    for fill in (theme.data, theme.unusable):
        assert contrast(theme.ink, fill) >= 4.5
    borders = [Scale(1.0, signed, theme).colours(sign)[1] for signed, sign in ARMS.values()]
    for border in (theme.parameter, theme.failed, theme.line, *borders):
        assert contrast(border, theme.paper) >= 3  # of graphics, by WCAG 2.1, 1.4.11


@THEMES
@pytest.mark.parametrize("arm", ARMS)
def test_equal_factors_are_about_equal_steps_to_the_eye(theme, arm):
    points = [cielab(linear_light(fill)) for fill in fills(theme, arm)]
    steps = [np.linalg.norm(b - a) for a, b in pairwise(points)]
    assert max(steps) < 2 * min(steps)


@THEMES
@pytest.mark.parametrize("arm", ARMS)
def test_size_can_be_read_in_greyscale(theme, arm):
    greys = [luminance(fill) for fill in fills(theme, arm)]
    away = [abs(grey - luminance(theme.paper)) for grey in greys]
    assert away == sorted(away)
    assert away[-1] > 5 * away[0]


@THEMES
def test_both_signs_are_as_light_at_the_same_size(theme):
    for one, other in zip(fills(theme, "negative"), fills(theme, "positive"), strict=True):
        lightness = [cielab(linear_light(fill))[0] for fill in (one, other)]
        assert lightness[0] == pytest.approx(lightness[1], abs=4)


# Source: Viénot, Brettel and Mollon, 1999, for linear sRGB.
COLOUR_BLIND = {
    "protanopia": [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]],
    "deuteranopia": [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]],
}


@THEMES
@pytest.mark.parametrize("kind", COLOUR_BLIND)
def test_colour_blind_people_can_tell_the_signs_apart(theme, kind):
    matrix = np.array(COLOUR_BLIND[kind])
    pairs = list(zip(fills(theme, "negative"), fills(theme, "positive"), strict=True))
    for pair in pairs[4:]:  # within three powers of ten of the largest
        one, other = (cielab(np.clip(matrix @ linear_light(fill), 0, 1)) for fill in pair)
        assert np.linalg.norm(one - other) > 8  # 2.3 is a just noticeable difference


@given(st.floats(5e-324, 1e308), st.floats(5e-324, 1e308))
def test_a_larger_gradient_never_has_a_weaker_colour(a, b):
    small, large = sorted((a, b))
    scale = Scale(large, True)
    greys = [luminance(scale.colours(-x)[0]) for x in (small, large)]
    assert greys[0] >= greys[1]


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=True)), max_size=6), st.booleans())
def test_every_gradient_has_a_colour_and_the_largest_finite_one_is_the_measure(gradients, signed):
    scale = Scale.of(gradients, signed)
    sizes = [abs(g) for g in gradients if g is not None and math.isfinite(g)]
    assert scale.largest == max(sizes, default=0)
    for fill, border in map(scale.colours, gradients):
        assert len(fill) == len(border) == 7


def test_the_legend_has_a_shade_for_every_power_of_ten_on_either_side():
    steps = Scale(50.0, True).steps()
    assert steps == sorted(steps)
    assert steps[-1] == -steps[0] == 50
    assert len(steps) == 2 * (DECADES + 1) + 1
    assert Scale(50.0, False).steps() == steps[DECADES + 1 :]


def test_what_has_vanished_or_exploded_is_told_from_what_has_not():
    scale = Scale(1.0, True)
    assert [scale.is_vanished(g) for g in (0.0, 1e-9, 1e-3, None, math.nan)] == [
        True, True, False, False, False,
    ]  # fmt: skip
    assert [is_exploded(g) for g in (1e7, -math.inf, math.nan, 1e3, None)] == [
        True, True, True, False, False,
    ]  # fmt: skip


def test_an_unknown_theme_is_answered_with_those_there_are():
    with pytest.raises(tg.UnknownNameError, match="dark"):
        theme_named("drak")


@pytest.mark.parametrize("name", ["light", "dark"])
def test_text_and_lines_of_plots_stand_out_from_the_paper(name):
    look = LOOKS[name]
    for colour, least in ((look.ink, 7), (look.muted, 4.5), *((c, 2.2) for c in look.colours)):
        assert contrast(colour, look.paper) >= least
