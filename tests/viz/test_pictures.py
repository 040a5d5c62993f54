"""Images are shown pixel for pixel, each under the name of its own class."""

from itertools import pairwise

import numpy as np
import pytest

import nn
import viz
from tinygrad_edu import ShapeError, TargetError, Tensor
from viz import plots

RNG = np.random.default_rng(0)
GREY = RNG.random((5, 1, 4, 6))


def titles(plot):
    """Of every image, with the spaces at which no line breaks as ordinary ones."""
    return [axes.get_title().replace("\N{NO-BREAK SPACE}", " ") for axes in plot.child_axes]


def pixels(plot):
    return np.array([axes.images[0].get_array() for axes in plot.child_axes])


def test_grey_images_are_shown_as_they_are_with_or_without_a_channel_axis():
    np.testing.assert_array_equal(pixels(plots.images(GREY)), GREY[:, 0])
    np.testing.assert_array_equal(pixels(plots.images(GREY[:, 0])), GREY[:, 0])


def test_channels_of_colour_images_become_the_last_axis():
    images = RNG.random((2, 3, 4, 6))
    np.testing.assert_array_equal(pixels(plots.images(images)), images.transpose(0, 2, 3, 1))


def test_bytes_are_shown_from_0_to_255():
    images = np.array([[[0, 51], [102, 204]]], np.uint8)
    np.testing.assert_allclose(pixels(plots.images(images)), [[[0, 0.2], [0.4, 0.8]]])


def test_numbers_outside_0_to_1_are_stretched_all_alike():
    shown = pixels(plots.images(np.array([[[-1.0, 0.0]], [[1.0, 3.0]]])))
    np.testing.assert_allclose(shown, [[[0, 0.25]], [[0.5, 1]]])


def test_images_stand_in_rows_and_do_not_overlap():
    plot = plots.images(np.zeros((5, 4, 6)), ["two\nlines"] * 5, columns=3)
    plot.figure.draw_without_rendering()
    boxes = [axes.get_position() for axes in plot.child_axes]
    assert len({round(box.y0, 6) for box in boxes}) == 2
    assert boxes[3].y1 < boxes[0].y0
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes[:3]))


def test_titles_fit_between_the_rows():
    plot = plots.images(np.zeros((4, 8, 8)), ["9 (97%)\nis 4"] * 4, columns=2)
    plot.figure.draw_without_rendering()
    title, above = (
        plot.child_axes[2].title.get_window_extent(),
        plot.child_axes[0].get_window_extent(),
    )
    assert title.y1 < above.y0
    assert plot.child_axes[0].title.get_window_extent().y1 < plot.figure.bbox.y1


def test_a_batch_shows_its_first_images_under_the_names_of_their_classes():
    plot = viz.show_batch((Tensor(GREY), np.array([1, 0, 1, 1, 0])), ("cat", "dog"), 2, 2)
    assert titles(plot) == ["dog", "cat", "dog", "dog"]
    np.testing.assert_array_equal(pixels(plot), GREY[:4, 0])


@pytest.mark.parametrize(
    ("targets", "expected"), [([3, 0, 1, 2, 9], "3 0 1 2 9"), ([0.5, 1, 2, -1, 3], "0.5 1 2 -1 3")]
)
def test_without_names_of_classes_targets_are_shown_as_numbers(targets, expected):
    assert titles(viz.show_batch((GREY, np.array(targets)))) == expected.split()


def test_of_a_mixed_label_the_two_likeliest_classes_are_named_with_their_share():
    shares = np.array([[0.6, 0.0, 0.4], [0.0, 1.0, 0.0], [0.3, 0.3, 0.4], [0.02, 0.96, 0.02]])
    plot = viz.show_batch((GREY[:4], shares), ("a", "b", "c"))
    assert titles(plot) == ["a: 60 %, c: 40 %", "b", "c: 40 %, a: 30 %", "b: 96 %"]


def test_a_loader_gives_its_first_batch_and_the_names_and_stays_where_it_was():
    data = nn.data.TensorDataset(GREY, np.array([0, 1, 1, 0, 1]), classes=("no", "yes"))
    loader = nn.data.DataLoader(data, 3, shuffle=True, seed=4)
    plot = viz.show_batch(loader)
    x, y = next(iter(loader))
    np.testing.assert_array_equal(pixels(plot), x[:, 0])
    assert titles(plot) == [data.classes[i] for i in y]


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (np.zeros((2, 64)), ShapeError, r"reshape\(-1, 8, 8\)"),
        (np.zeros((2, 8, 8, 3)), ShapeError, "1 or 3 channels"),
        (np.zeros((0, 8, 8)), ShapeError, "N > 0"),
        (np.full((2, 8, 8), np.nan), plots.PlotError, r"pixel \(0, 0, 0\) of the images is nan"),
        (np.full((2, 8, 8), "x"), plots.PlotError, "takes numbers"),
    ],
)
def test_what_is_no_image_is_an_error(images, error, message):
    with pytest.raises(error, match=message):
        plots.images(images)


def test_there_are_as_many_titles_as_images_or_none():
    with pytest.raises(ShapeError, match="5 images need as many titles, not 2"):
        plots.images(GREY, ["a", "b"])


@pytest.mark.parametrize(
    ("batch", "classes", "error"),
    [
        ((GREY,), (), plots.PlotError),
        ((GREY, np.zeros(4)), (), ShapeError),
        ((GREY, np.zeros((5, 1))), (), ShapeError),
        ((GREY, np.zeros((5, 0))), (), ShapeError),
        ((GREY, list("abcde")), (), plots.PlotError),
        ((GREY, np.eye(5)), ("a", "b"), ShapeError),
        ((GREY, np.full(5, 2)), ("a", "b"), TargetError),
        ((GREY, np.full(5, -1)), ("a", "b"), TargetError),
        ((GREY, np.zeros(5)), ("a", "b"), TargetError),
        ((GREY, 2 * np.eye(5)), (), TargetError),
        ((GREY, np.full((5, 2), np.nan)), (), TargetError),
        ([], (), plots.PlotError),
        ([GREY], (), plots.PlotError),
        (3, (), plots.PlotError),
    ],
)
def test_what_is_no_batch_of_images_is_an_error(batch, classes, error):
    with pytest.raises(error):
        viz.show_batch(batch, classes)


@pytest.mark.parametrize("option", [{"rows": 0}, {"columns": 2.5}])
def test_there_is_a_row_and_a_column(option):
    with pytest.raises(plots.PlotError, match=f"{next(iter(option))} must be a positive integer"):
        viz.show_batch((GREY, np.zeros(5)), **option)


def test_mistakes_are_shown_surest_first_with_what_they_are_taken_for_and_what_they_are():
    probabilities = np.array([[0.9, 0.1], [0.3, 0.7], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]])
    plot = plots.misclassified(GREY, [0, 0, 0, 1, 0], probabilities, ("cat", "dog"))
    assert titles(plot) == ["dog (80%)\nis cat", "dog (70%)\nis cat", "cat (60%)\nis dog"]
    np.testing.assert_array_equal(pixels(plot), GREY[[2, 1, 3], 0])
    few = plots.misclassified(GREY, [0, 0, 0, 1, 0], probabilities, count=1)
    assert titles(few) == ["1 (80%)\nis 0"]


@pytest.mark.parametrize(
    ("targets", "probabilities", "error", "message"),
    [
        ([0] * 5, np.eye(2)[[0] * 5], plots.PlotError, "all 5 images are classified right"),
        ([0] * 4, np.eye(2)[[1] * 5], ShapeError, "misclassified takes images"),
        ([0] * 5, np.ones(5), ShapeError, "misclassified takes images"),
        ([2] * 5, np.eye(2)[[1] * 5], TargetError, "from 0 to 1, not 2"),
        ([0] * 5, np.full((5, 2), 3.0), TargetError, "softmax"),
        ([0] * 5, np.full((5, 2), np.nan), TargetError, "softmax"),
    ],
)
def test_mistakes_need_targets_and_probabilities_that_fit(targets, probabilities, error, message):
    with pytest.raises(error, match=message):
        plots.misclassified(GREY, targets, probabilities)
