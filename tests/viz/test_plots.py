"""Plots show the numbers they were given, and touch nothing of matplotlib's global state."""

import subprocess
import sys
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from matplotlib._pylab_helpers import Gcf
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import nn
import tinygrad_edu as tg
from tinygrad_edu import MissingExtraError, ShapeError, UnknownNameError
from viz import MissingFolderError, plots
from viz.scale import DARK, LIGHT

HISTORY = [
    {"epoch": 1, "train_loss": 1.0, "validation_loss": 1.1, "train_accuracy": 0.5},
    {"epoch": 2, "train_loss": 0.5, "validation_loss": 0.7, "train_accuracy": 0.8},
    {"epoch": 3, "train_loss": 0.3, "validation_loss": 0.9, "train_accuracy": 0.9},
]
POINTS = np.array([[0.0, 0.0], [1.0, 0.5], [0.2, 1.0]])


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_curves_show_the_history_and_mark_the_best_epoch():
    plot = plots.curves(HISTORY)
    loss, accuracy = plot.child_axes
    train = next(line for line in loss.lines if line.get_label() == "training")
    np.testing.assert_array_equal(train.get_xydata(), [[1, 1.0], [2, 0.5], [3, 0.3]])
    assert [list(axes.lines[-1].get_xdata()) for axes in (loss, accuracy)] == [[2, 2], [2, 2]]
    assert legend(plot) == ["training", "validation", "best epoch: 2"]


def test_curves_skip_what_was_not_measured_or_diverged():
    rows = [{"train_loss": 1.0}, {"train_loss": float("nan")}, {"train_loss": 0.5}]
    plot = plots.curves(rows)
    (axes,) = plot.child_axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [1.0, np.nan, 0.5])
    assert legend(plot) == ["training"]


@pytest.mark.parametrize("best", [1, 5, 9])
def test_the_legend_of_curves_covers_no_panel(best):
    plot = plots.curves([{"validation_loss": abs(n - best)} for n in range(1, 10)])
    plot.figure.draw_without_rendering()
    assert (
        plot.get_legend().get_window_extent().y0 >= plot.child_axes[0].title.get_window_extent().y1
    )


def test_every_metric_has_a_panel_and_so_has_a_learning_rate_that_changes():
    rows = [
        {"learning_rate": 0.1 / n, "validation_r2": 0.2 * n, "train_loss": 1 / n} for n in (1, 2)
    ]
    loss, r2, rate = plots.curves(rows).child_axes
    assert [axes.get_title("left") for axes in (loss, r2, rate)] == ["loss", "r2", "learning rate"]
    np.testing.assert_array_equal(r2.lines[0].get_xydata(), [[1, 0.2], [2, 0.4]])
    np.testing.assert_array_equal(rate.lines[0].get_xydata(), [[1, 0.1], [2, 0.05]])


def test_a_constant_learning_rate_has_no_panel():
    rows = [{"learning_rate": 0.1, "train_loss": loss} for loss in (2.0, 1.0)]
    assert [axes.get_title("left") for axes in plots.curves(rows).child_axes] == ["loss"]


@pytest.mark.parametrize(("span", "scale"), [(99, "linear"), (101, "log")])
def test_a_learning_rate_over_several_decades_has_a_logarithmic_axis(span, scale):
    rows = [{"learning_rate": rate, "train_loss": 1.0} for rate in (0.1, 0.1 / span)]
    assert plots.curves(rows).child_axes[-1].get_yscale() == scale


@pytest.mark.parametrize("history", [[], [{"epoch": 1}], [{"train_loss": None}]])
def test_a_history_without_numbers_is_an_error(history):
    with pytest.raises(plots.HistoryError, match="train_loss"):
        plots.curves(history)


@pytest.mark.parametrize("row", [{"train_loss": "low"}, {"train_r2": [1.0, 2.0]}, "epoch"])
def test_a_row_that_holds_no_numbers_is_an_error(row):
    with pytest.raises(plots.HistoryError, match=r"no number|a mapping per epoch"):
        plots.curves([row])


def test_overlaid_curves_have_a_line_for_each_run_that_differs_from_all_others():
    runs = {f"run {n}": [{"epoch": 5, "loss": n}, {"epoch": 6, "loss": 2 * n}] for n in range(12)}
    axes = plots.overlaid_curves(runs, "loss")
    lines = axes.lines
    np.testing.assert_array_equal(lines[7].get_xydata(), [[5, 7], [6, 14]])
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 12
    assert legend(axes) == list(runs)


def test_the_legend_of_overlaid_curves_covers_no_line():
    runs = {f"a run with a rather long name {n}": HISTORY for n in range(12)}
    axes = plots.overlaid_curves(runs)
    axes.figure.draw_without_rendering()
    box = axes.get_legend().get_window_extent()
    assert box.x0 >= axes.get_window_extent().x1
    assert box.y0 >= 0
    assert box.x1 <= axes.figure.bbox.x1


def test_a_run_that_diverged_at_once_is_named_as_such():
    runs = {"good": HISTORY, "bad": [{"validation_loss": float("nan")}]}
    assert legend(plots.overlaid_curves(runs)) == ["good", "bad (nowhere finite)"]


def test_overlaid_curves_name_the_run_without_the_quantity():
    with pytest.raises(UnknownNameError, match=r"run 'b'.*Known: train_loss"):
        plots.overlaid_curves({"a": HISTORY, "b": [{"train_loss": 1.0}]}, "train_accuracy")


@pytest.mark.parametrize("runs", [{}, {"a": []}])
def test_runs_without_rows_are_an_error(runs):
    with pytest.raises(plots.HistoryError):
        plots.overlaid_curves(runs)


def test_lines_show_each_series_from_step_1_with_gaps_where_it_is_not_finite():
    axes = plots.lines({"before": [3.0, np.inf, 2.0], "after": [1.0, 1.0]}, "step", "norm")
    before, after = axes.lines
    np.testing.assert_array_equal(before.get_xydata(), [[1, 3], [2, np.nan], [3, 2]])
    np.testing.assert_array_equal(after.get_xydata(), [[1, 1], [2, 1]])
    assert axes.get_xlabel() == "step"


def test_a_name_with_dollar_signs_is_no_formula():
    axes = plots.lines({r"$\frac$": [1.0, 2.0]}, "step", "US$ per $")
    assert plots.svg(axes).startswith("<?xml")


@pytest.mark.parametrize(
    ("series", "error"),
    [
        ({}, plots.PlotError),
        ({"a": ["x"]}, plots.PlotError),
        ({"a": []}, ShapeError),
        ({"a": [[1.0]]}, ShapeError),
        ({"a": [[1.0], [1.0, 2.0]]}, ShapeError),
    ],
)
def test_series_that_are_no_vectors_of_numbers_are_an_error(series, error):
    with pytest.raises(error):
        plots.lines(series, "step", "norm")


def test_a_score_has_a_boundary_where_it_crosses_the_threshold():
    axes = plots.decision_boundary(lambda p: p[:, 0], POINTS, [0, 1, 0], threshold=0.4)
    lines = [c for c in axes.collections if list(getattr(c, "levels", [])) == [0.4]]
    vertices = np.vstack([path.vertices for path in lines[0].get_paths()])
    np.testing.assert_allclose(vertices[:, 0], 0.4, atol=1e-9)
    assert legend(axes) == ["0", "1"]


def test_of_several_classes_each_has_its_region():
    axes = plots.decision_boundary(lambda p: p @ np.eye(2, 3), POINTS, [0, 1, 2])
    assert legend(axes) == ["0", "1", "2"]


@pytest.mark.parametrize("score", [0.0, 3.0, np.nan])
def test_a_model_that_says_the_same_everywhere_is_drawn_without_boundary(score):
    axes = plots.decision_boundary(lambda p: np.full(len(p), score), POINTS, [1, 1, -1])
    assert plots.svg(axes).startswith("<?xml")
    assert not [c for c in axes.collections if list(getattr(c, "levels", [])) == [0.0]]


@pytest.mark.parametrize(
    ("predict", "x", "y", "message"),
    [
        (len, np.zeros((3, 3)), [0, 1, 0], r"points \(n, 2\)"),
        (len, POINTS, [0, 1], "3 points need as many labels"),
        (lambda p: p[:5, 0], POINTS, [0, 1, 0], r"predict should return .* \(5,\)"),
        (lambda p: 1.0, POINTS, [0, 1, 0], "predict should return"),
    ],
)
def test_shapes_are_checked(predict, x, y, message):
    with pytest.raises(ShapeError, match=message):
        plots.decision_boundary(predict, x, y)


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_figures_are_saved_by_suffix(tmp_path, suffix, start):
    axes = plots.curves(HISTORY)
    for n, plot in enumerate((axes, axes.figure)):
        path = plots.save(plot, tmp_path / f"curves{n}.{suffix}")
        assert path.read_bytes().startswith(start)
        assert plots.svg(plot).startswith("<?xml")


def test_figures_cannot_be_saved_elsewhere(tmp_path):
    axes = plots.curves(HISTORY)
    with pytest.raises(UnknownNameError, match=r"\.svg"):
        plots.save(axes, tmp_path / "curves.bmp")
    with pytest.raises(MissingFolderError):
        plots.save(axes, tmp_path / "nowhere" / "curves.png")


def test_global_state_stays_as_it_was():
    before = dict(matplotlib.rcParams)
    plots.curves(HISTORY)
    assert dict(matplotlib.rcParams) == before


def test_matplotlib_is_imported_only_to_plot():
    code = "import sys, viz; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.axes", None)
    with pytest.raises(MissingExtraError, match=r"tinygrad-edu\[train\]"):
        plots.curves(HISTORY)


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax: plots.curves(HISTORY, ax=ax),
        lambda ax: plots.lines({"a": [1.0, 2.0]}, "step", "norm", ax=ax),
        lambda ax: plots.confusion_matrix(np.eye(2), ax=ax),
        lambda ax: plots.images(np.zeros((3, 4, 4)), ax=ax),
    ],
)
def test_a_plot_is_drawn_into_the_axes_given_and_returns_them(draw):
    figure = Figure(layout="constrained")
    left, right = figure.subplots(1, 2)
    assert draw(right) is right
    figure.draw_without_rendering()
    outer = right.get_position()
    for panel in right.child_axes:
        inner = panel.get_position()
        assert outer.x0 <= inner.x0 < inner.x1 <= outer.x1
        assert outer.y0 <= inner.y0 < inner.y1 <= outer.y1
    assert not left.has_data()


def test_a_figure_is_no_axes():
    with pytest.raises(plots.PlotError, match="drawn into the Axes of matplotlib, not Figure"):
        plots.curves(HISTORY, ax=Figure())


def test_a_plot_of_its_own_is_unknown_to_pyplot_and_shown_by_a_notebook_all_the_same():
    axes = plots.curves(HISTORY)
    content, size = axes._repr_png_()
    assert content.startswith(b"\x89PNG")
    assert (size["width"], size["height"]) == tuple(axes.figure.get_size_inches() * 72 // 1)
    assert not Gcf.get_all_fig_managers()


def test_activations_are_shown_with_the_slope_that_differences_find():
    plot = plots.activations(["tanh", "gelu"], -2, 2)
    for panel, f in zip(plot.child_axes, (tg.tanh, tg.gelu), strict=True):
        x, y = panel.lines[2].get_xydata().T
        np.testing.assert_allclose(y, f(x))
        slope = panel.lines[3].get_ydata()
        np.testing.assert_allclose(slope[1:-1], np.gradient(y, x)[1:-1], atol=1e-3)


def test_a_function_of_ones_own_is_an_activation():
    (panel,) = plots.activations([lambda x: x * x]).child_axes
    x, slope = panel.lines[3].get_xydata().T
    np.testing.assert_allclose(slope, 2 * x, atol=1e-12)


def test_activations_that_are_none_are_an_error():
    with pytest.raises(UnknownNameError, match="Did you mean 'relu'"):
        plots.activations(["rleu"])
    for arguments in ([], "relu", ["relu"], 3):
        with pytest.raises((plots.PlotError, TypeError)):
            plots.activations(arguments, 1, -1)


def test_a_range_test_is_shown_with_its_suggestion():
    found = nn.optim.RangeTest([1e-3, 1e-2, 1e-1, 1.0], [3.0, 2.9, 1.0, 5.0])
    axes = plots.learning_rate_finder(found)
    curve, marker = axes.lines
    np.testing.assert_array_equal(curve.get_xydata(), [*zip(found.lrs, found.losses, strict=True)])
    assert list(marker.get_xdata()) == [found.suggestion] * 2
    assert axes.get_xscale() == "log"


def test_a_range_test_without_suggestion_has_no_marker():
    assert len(plots.learning_rate_finder(nn.optim.RangeTest([0.1, 1.0], [1.0, 2.0])).lines) == 1


@pytest.mark.parametrize(
    ("found", "error"),
    [
        ([1.0], plots.PlotError),
        (SimpleNamespace(lrs=[0.0], losses=[1.0], suggestion=None), plots.PlotError),
        (nn.optim.RangeTest([], []), ShapeError),
        (nn.optim.RangeTest([0.1], [1.0, 2.0]), ShapeError),
    ],
)
def test_what_is_no_range_test_is_an_error(found, error):
    with pytest.raises(error):
        plots.learning_rate_finder(found)


def test_a_theme_colours_what_is_plotted_inside_and_nothing_else():
    with plots.theme("dark"):
        dark = plots.curves(HISTORY)
        own = Figure().add_subplot()
        plots.lines({"loss": [1.0, 0.5]}, "step", "loss", ax=own)
    light = plots.curves(HISTORY)
    assert to_hex(dark.figure.get_facecolor()) == DARK.paper
    assert to_hex(own.figure.get_facecolor()) == DARK.paper
    assert to_hex(light.figure.get_facecolor()) == LIGHT.paper
    with pytest.raises(UnknownNameError, match="dark, light"), plots.theme("blue"):
        pytest.fail("there is no such theme")
