"""Confusion matrices and histograms show the counts that NumPy would count."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from tinygrad_edu import ShapeError
from viz import plots

MATRIX = np.array([[8, 2, 0], [0, 0, 0], [1, 3, 4]])


def written(axes):
    """The count in each cell, by row and column."""
    return {tuple(map(int, text.get_position()[::-1])): text.get_text() for text in axes.texts}


def labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def luminance(colour):
    """Source: WCAG 2.1."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def heights(axes):
    """Of each histogram, the ends of its bins and how high they are."""
    lines = [line.get_xydata() for line in axes.lines]
    return [(points[:-1, 0], points[1:-1, 1]) for points in lines]


def test_true_classes_are_rows_and_colours_are_shares_of_the_row():
    axes = plots.confusion_matrix(MATRIX)
    shares = [[0.8, 0.2, 0], [0, 0, 0], [0.125, 0.375, 0.5]]
    np.testing.assert_allclose(axes.images[0].get_array(), shares)
    assert written(axes) == {
        (0, 0): "8", (0, 1): "2", (2, 0): "1", (2, 1): "3", (2, 2): "4",
    }  # fmt: skip
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("true class", "predicted class")


def test_both_sides_name_the_classes():
    axes = plots.confusion_matrix(MATRIX, ("cat", "dog", "fox"))
    assert labels(axes.xaxis) == labels(axes.yaxis) == ["cat", "dog", "fox"]
    assert labels(plots.confusion_matrix(MATRIX).xaxis) == ["0", "1", "2"]


@pytest.mark.parametrize("percent", range(1, 101, 3))
def test_a_count_stands_out_from_its_cell(percent):
    axes = plots.confusion_matrix([[percent, 100 - percent], [0, 1]])
    (image,) = axes.images
    text = axes.texts[0]
    ground = luminance(image.to_rgba(np.array([[percent / 100]]))[0, 0, :3])
    dark, light = sorted((ground, luminance(text.get_color())))
    assert (light + 0.05) / (dark + 0.05) > 3.9


@pytest.mark.parametrize(("classes", "shown"), [(10, True), (100, False)])
def test_counts_are_left_out_where_there_is_no_space(classes, shown):
    axes = plots.confusion_matrix(np.full((classes, classes), 123))
    assert bool(axes.texts) is shown


@pytest.mark.parametrize("names", [(), tuple(f"class {i}" for i in range(300))])
@pytest.mark.parametrize("classes", [2, 26, 47, 100, 300])
def test_names_of_classes_do_not_run_into_each_other(classes, names):
    axes = plots.confusion_matrix(np.eye(classes), names[:classes])
    axes.figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert all(left.x1 <= right.x0 + 1 for left, right in pairwise(boxes))


@pytest.mark.parametrize(
    ("matrix", "classes", "error"),
    [
        (np.zeros((2, 3)), (), ShapeError),
        (np.zeros((0, 0)), (), ShapeError),
        (3, (), ShapeError),
        (MATRIX, ("a", "b"), ShapeError),
        (-MATRIX, (), plots.PlotError),
        (MATRIX * np.nan, (), plots.PlotError),
        ([["a"]], (), plots.PlotError),
    ],
)
def test_what_is_no_confusion_matrix_is_an_error(matrix, classes, error):
    with pytest.raises(error):
        plots.confusion_matrix(matrix, classes)


def test_raw_numbers_share_their_bins_and_show_their_shares():
    rng = np.random.default_rng(0)
    before, after = rng.normal(0, 1, (20, 30)), rng.normal(0, 0.2, 100)
    (edges, wide), (others, narrow) = heights(plots.histograms({"before": before, "after": after}))
    np.testing.assert_array_equal(edges, others)
    np.testing.assert_allclose(wide, np.histogram(before, edges)[0] / 600)
    np.testing.assert_allclose(narrow, np.histogram(after, edges)[0] / 100)


def test_counts_are_shown_in_their_own_bins():
    axes = plots.histograms({"a": ([1, 3], [0.0, 1.0, 2.0])})
    ((edges, shares),) = heights(axes)
    np.testing.assert_allclose(edges, [0, 1, 2])
    np.testing.assert_allclose(shares, [0.25, 0.75])


def test_where_bins_differ_in_width_the_area_is_the_share():
    axes = plots.histograms({"a": ([1, 3], [0.0, 1.0, 4.0]), "b": ([5], [1.0, 3.0])})
    assert axes.get_title("left") == "density"
    for edges, density in heights(axes):
        assert np.sum(np.diff(edges) * density) == pytest.approx(1)


def test_numbers_that_are_not_finite_are_counted_in_the_legend():
    axes = plots.histograms({"a": [1.0, np.nan, np.inf], "b": [2.0], "c": [np.nan]})
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["a (2 not finite)", "b", "c (1 not finite)"]


@pytest.mark.parametrize(
    ("groups", "error"),
    [
        ({}, plots.PlotError),
        ({"a": []}, plots.PlotError),
        ({"a": ["x"]}, plots.PlotError),
        ({"a": [-1e308, 1e308]}, plots.PlotError),
        ({"a": [1.0, np.nextafter(1, 2)]}, plots.PlotError),
        ({"a": ([1, 2], [0, 1])}, ShapeError),
        ({"a": (1, 2)}, ShapeError),
        ({"a": ([], [0])}, plots.PlotError),
        ({"a": ([-1], [0, 1])}, plots.PlotError),
        ({"a": ([1], [1, 0])}, plots.PlotError),
        ({"a": ([1], [0, np.inf])}, plots.PlotError),
    ],
)
def test_what_is_no_group_of_numbers_is_an_error(groups, error):
    with pytest.raises(error):
        plots.histograms(groups)
