"""Filters, feature maps and attention are shown number for number, on one scale for all panels."""

from itertools import pairwise

import numpy as np
import pytest

import nn
from tinygrad_edu import ShapeError
from viz import plots

RNG = np.random.default_rng(0)


def pixels(plot):
    return np.array([axes.images[0].get_array() for axes in plot.child_axes])


def scales(plot):
    return {axes.images[0].get_clim() for axes in plot.child_axes}


def ticks(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


@pytest.mark.parametrize("channels", [1, 3])
def test_filters_show_every_kernel_with_0_in_the_middle_of_the_scale(channels):
    weight = nn.Conv2d(channels, 5, 3).weight
    plot = plots.filters(weight)
    np.testing.assert_array_equal(pixels(plot), weight.data.reshape(-1, 3, 3))
    ((low, high),) = scales(plot)
    assert high == -low == pytest.approx(np.abs(weight.data).max())


def test_of_many_filters_the_first_are_shown_and_the_title_says_so():
    weight = RNG.normal(size=(20, 30, 3, 3))
    plot = plots.filters(weight, most=4)
    np.testing.assert_array_equal(pixels(plot), weight[:4, :4].reshape(-1, 3, 3))
    assert plot.get_title("left") == "the first 4 of 20 filters, the first 4 of 30 channels of each"


def test_feature_maps_share_a_scale_that_shows_the_sign():
    maps = RNG.normal(size=(1, 6, 4, 5))
    plot = plots.feature_maps(maps)
    np.testing.assert_array_equal(pixels(plot), maps[0])
    assert scales(plot) == {(-np.abs(maps).max(), np.abs(maps).max())}
    assert scales(plots.feature_maps(np.abs(maps))) == {
        (np.abs(maps).min(), np.abs(maps).max())
    }  # without a sign to show


def test_constant_maps_can_be_drawn():
    assert plots.svg(plots.feature_maps(np.zeros((2, 3, 3)))).startswith("<?xml")
    assert plots.svg(plots.filters(np.zeros((2, 1, 3, 3)))).startswith("<?xml")


def test_attention_has_a_map_for_each_head_with_queries_as_rows():
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    x = RNG.normal(size=(1, 3, 8)).astype(np.float32)
    _, weights = attention(x, x, x, is_causal=True, average_attn_weights=False)
    plot = plots.attention_maps(weights, ["a", " ", "\n"])
    np.testing.assert_array_equal(pixels(plot), weights.data[0])
    assert not np.triu(pixels(plot)[0], 1).any()  # no query looks ahead, along its row
    assert ticks(plot.child_axes[0].yaxis) == ticks(plot.child_axes[1].xaxis) == ["a", "␣", "↵"]


def test_queries_and_keys_may_be_of_different_sequences():
    plot = plots.attention_maps(np.full((2, 3), 1 / 3), ["the", "cat"], ["le", "chat", "noir"])
    (axes,) = plot.child_axes
    assert (ticks(axes.yaxis), ticks(axes.xaxis)) == (["the", "cat"], ["le", "chat", "noir"])


@pytest.mark.parametrize("name", ["", "tok", "a long token"])
@pytest.mark.parametrize("length", [2, 20, 300])
def test_names_of_tokens_do_not_run_into_each_other(length, name):
    tokens = [f"{name}{i}" for i in range(length)] if name else []
    plot = plots.attention_maps(np.eye(length), tokens)
    plot.figure.draw_without_rendering()
    (axes,) = plot.child_axes
    across = [label.get_window_extent() for label in axes.get_xticklabels()]
    down = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(a.x1 <= b.x0 + 1 for a, b in pairwise(across))
    assert all(a.y0 >= b.y1 - 1 for a, b in pairwise(down))
    assert min(box.x0 for box in down) >= 0
    assert min(box.y0 for box in across) >= 0


@pytest.mark.parametrize(
    ("draw", "given", "error", "message"),
    [
        (plots.filters, np.zeros((3, 3)), ShapeError, r"kH, kW.*\(3, 3\)"),
        (plots.filters, np.zeros((0, 1, 3, 3)), ShapeError, "filters takes the weight"),
        (plots.filters, np.full((1, 1, 2, 2), np.nan), plots.PlotError, r"\(0, 0, 0, 0\).*nan"),
        (plots.feature_maps, np.zeros((2, 6, 4, 4)), ShapeError, "of one image"),
        (plots.feature_maps, [["a"]], plots.PlotError, "takes numbers"),
        (plots.attention_maps, np.zeros((2, 1, 3, 3)), ShapeError, "of one sequence"),
        (plots.attention_maps, -np.eye(2), plots.PlotError, "not negative"),
    ],
)
def test_what_is_no_map_is_an_error(draw, given, error, message):
    with pytest.raises(error, match=message):
        draw(given)


def test_there_are_as_many_tokens_as_places():
    with pytest.raises(ShapeError, match="3 keys need as many tokens, not 2"):
        plots.attention_maps(np.zeros((2, 3)), keys=["a", "b"])


@pytest.mark.parametrize("most", [0, True, 2.5])
def test_at_least_one_filter_is_shown(most):
    with pytest.raises(plots.PlotError, match="most must be a positive integer"):
        plots.filters(np.ones((1, 1, 2, 2)), most)
