"""Plots of what a recorder saw show the numbers of its snapshots, layer by layer."""

from dataclasses import dataclass, field

import numpy as np
import pytest

import nn
import tinygrad_edu as tg
from viz import plots
from viz.snapshots import Snapshot, Summary

RNG = np.random.default_rng(0)
STEPS = [1, 5, 9, 21]


@dataclass
class Recorded:
    """What a recorder has."""

    snapshots: list = field(default_factory=list)


OF_A_RECORDER = [
    plots.gradient_flow_over_time,
    plots.update_ratio,
    plots.histograms_over_time,
    plots.dead_units,
    plots.dead_units_over_time,
]


def recorded(steps=STEPS):
    """A relu layer of which ever more units die, and a tanh layer that saturates."""
    found = []
    for i, step in enumerate(steps):
        relu = RNG.random((8, 4)) + 0.1
        relu[:, :i] = 0
        tanh = np.tanh(RNG.normal(0, 1 + i, (8, 4)))
        numbers = {"a": RNG.normal(size=(3, 4)) * 10.0**-i, "b": RNG.normal(size=4)}
        summaries = {name: Summary.of(x) for name, x in numbers.items()}
        found.append(
            Snapshot(
                step=step,
                loss=1.0,
                parameters=summaries,
                gradients=summaries if i != 2 else {"b": summaries["b"]},
                updates={"a": 10.0 ** -(i + 1), "b": 0.0 if i == 1 else np.inf if i == 0 else 0.1},
                activations={
                    "relu": Summary.of(relu, units=True),
                    "tanh": Summary.of(tanh, (-1, 1), units=True),
                },
                activation_gradients={},
            )
        )
    return Recorded(found)


def mesh(axes):
    """The numbers of a heat map, nan where there are none."""
    return np.ma.filled(axes.collections[0].get_array().astype(float), np.nan)


def names(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


@pytest.mark.parametrize(("statistic", "attribute"), [("mean", "mean_abs"), ("max", "max_abs")])
def test_gradients_over_time_are_a_row_for_each_parameter_and_a_column_for_each_step(
    statistic, attribute
):
    rec = recorded()
    axes = plots.gradient_flow_over_time(rec, statistic)
    expected = [
        [getattr(s.gradients[name], attribute) if name in s.gradients else np.nan for s in
         rec.snapshots]
        for name in ("a", "b")
    ]  # fmt: skip
    np.testing.assert_allclose(mesh(axes), expected)
    assert names(axes.yaxis) == ["a", "b"]


def test_the_columns_of_a_heat_map_meet_halfway_between_the_steps():
    axes = plots.gradient_flow_over_time(recorded())
    sides = axes.collections[0].get_coordinates()[0, :, 0]
    np.testing.assert_array_equal(sides, [-1, 3, 7, 15, 27])
    one = plots.gradient_flow_over_time(recorded([4]))
    np.testing.assert_array_equal(one.collections[0].get_coordinates()[0, :, 0], [3.5, 4.5])


def test_updates_are_lines_on_a_logarithmic_axis_with_gaps_where_they_have_no_logarithm():
    axes = plots.update_ratio(recorded())
    a, b, guide = axes.lines
    np.testing.assert_allclose(a.get_xydata(), [*zip(STEPS, [0.1, 0.01, 1e-3, 1e-4], strict=True)])
    np.testing.assert_array_equal(b.get_ydata(), [np.nan, np.nan, 0.1, 0.1])
    assert axes.get_yscale() == "log"
    assert list(guide.get_ydata()) == [1e-3, 1e-3]
    assert legend(plots.update_ratio(recorded(), ["b"])) == ["b"]


@pytest.mark.parametrize("of", ["activations", "parameters", "gradients"])
def test_histograms_over_time_are_a_column_of_densities_for_each_snapshot(of):
    rec = recorded()
    for name, panel in zip(
        getattr(rec.snapshots[0], of), plots.histograms_over_time(rec, of).child_axes, strict=True
    ):
        assert panel.get_title("left") == name
        seen = [getattr(s, of)[name] for s in rec.snapshots if name in getattr(s, of)]
        assert len(panel.collections) == len(seen)
        for column, summary in zip(panel.collections, seen, strict=True):
            shown = column.get_array().ravel()
            np.testing.assert_allclose(shown, summary.counts / summary.counts.max())
            np.testing.assert_array_equal(column.get_coordinates()[:, 0, 1], summary.edges)


def test_dead_and_saturated_units_are_those_of_the_last_step():
    rec = recorded()
    bars = [[bar.get_width() for bar in group] for group in plots.dead_units(rec).containers]
    last = rec.snapshots[-1].activations
    assert bars[0] == [0.75, 0]  # three of four relu units are 0 for every sample
    assert bars[1] == [0.75, 0]
    assert bars[2] == [0, last["tanh"].saturated_share]


def test_a_layer_without_limits_is_not_said_to_be_saturated_by_0_percent():
    texts = [text.get_text() for text in plots.dead_units(recorded()).texts]
    assert texts[4] == "–"
    assert texts[5].endswith(" %")


def test_dead_units_over_time_have_a_row_for_each_layer_that_can_have_them():
    rec = recorded()
    dead = plots.dead_units_over_time(rec)
    np.testing.assert_array_equal(mesh(dead), [[0, 0.25, 0.5, 0.75], [0, 0, 0, 0]])
    saturated = plots.dead_units_over_time(rec, "saturated")
    assert names(saturated.yaxis) == ["tanh"]
    shares = [s.activations["tanh"].saturated_share for s in rec.snapshots]
    np.testing.assert_array_equal(mesh(saturated), [shares])


@pytest.mark.parametrize("draw", OF_A_RECORDER)
def test_a_recorder_that_saw_nothing_is_an_error(draw):
    with pytest.raises(plots.PlotError, match="train with it among the callbacks"):
        draw(Recorded())
    with pytest.raises(plots.PlotError, match="list has none"):
        draw([])


@pytest.mark.parametrize(
    "draw",
    [
        lambda rec: plots.gradient_flow_over_time(rec, "median"),
        lambda rec: plots.update_ratio(rec, ["weight"]),
        lambda rec: plots.histograms_over_time(rec, "weights"),
        lambda rec: plots.histograms_over_time(rec, names=["weights"]),
        lambda rec: plots.dead_units_over_time(rec, "alive"),
    ],
)
def test_unknown_names_are_errors_that_list_the_known_ones(draw):
    with pytest.raises(tg.UnknownNameError, match="Known: "):
        draw(recorded())


@pytest.mark.parametrize("numbers", [[0.0], [np.nan], [1e300, 1e-200], [np.inf, 1.0]])
@pytest.mark.parametrize("draw", OF_A_RECORDER)
def test_training_that_has_exploded_or_died_is_drawn_all_the_same(draw, numbers):
    summaries = [Summary.of(np.full((2, 2), x), units=True) for x in numbers]
    snapshots = [
        Snapshot(
            step=i,
            loss=None,
            parameters={"w": summary},
            gradients={"w": summary},
            updates={"w": x if abs(x) < 1e30 else np.inf},
            activations={"w": summary},
            activation_gradients={},
        )
        for i, (x, summary) in enumerate(zip(numbers, summaries, strict=True), 1)
    ]
    assert plots.svg(draw(Recorded(snapshots))).startswith("<?xml")


# After one backward pass


def test_gradient_flow_shows_the_mean_and_the_largest_entry_of_every_gradient():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    tg.sum(model(RNG.normal(size=(5, 3)).astype(np.float32)) ** 2).backward()
    axes = plots.gradient_flow(model)
    mean, largest = (line.get_xdata() for line in axes.lines)
    sizes = [np.abs(p.grad).astype(float) for p in model.parameters()]
    np.testing.assert_allclose(mean, [g.mean() for g in sizes])
    np.testing.assert_allclose(largest, [g.max() for g in sizes])
    assert names(axes.yaxis) == [name for name, _ in model.named_parameters()]


@pytest.mark.parametrize("sizes", [(0.02, 0.05), (1e-310, 1e-290), (0.1, 1e300)])
def test_the_axis_of_gradient_flow_goes_to_whole_decades_around_all_points(sizes):
    weight = tg.Tensor(np.ones(2), requires_grad=True)
    weight.grad = np.array(sizes)
    axes = plots.gradient_flow([("w", weight)])
    low, high = axes.get_xlim()
    assert low < np.mean(sizes) <= sizes[1] < high
    np.testing.assert_allclose(np.log10([low, high]), np.round(np.log10([low, high])), atol=1e-9)


def test_gradient_flow_says_where_no_gradient_flows_and_why():
    parameters = {name: tg.Tensor(np.ones(2), requires_grad=True) for name in "abcd"}
    for name, grad in {"b": [0.0, 0.0], "c": [1.0, np.nan], "d": [1.0, 2.0]}.items():
        parameters[name].grad = np.array(grad)
    axes = plots.gradient_flow(parameters.items())
    assert names(axes.yaxis) == ["a (no gradient)", "b (all 0)", "c (not finite)", "d"]
    np.testing.assert_array_equal(np.ma.getmaskarray(axes.lines[0].get_xdata()), [1, 1, 1, 0])


def test_the_values_of_a_layer_of_neurons_are_one_row():
    model = nn.MLP(2, [3, 1])
    model([0.5, -1.0]).backward()
    axes = plots.gradient_flow(model)
    assert names(axes.yaxis) == ["layers.0", "layers.1"]
    sizes = [abs(p.grad) for p in model.layers[0].parameters()]
    assert axes.lines[0].get_xdata()[0] == pytest.approx(np.mean(sizes))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Linear(2, 2), r"call backward\(\)"),
        ([], "no parameters"),
        (3, "int"),
        ([("a", 3)], "has a grad"),
    ],
)
def test_without_gradients_there_is_no_flow(model, message):
    with pytest.raises(plots.PlotError, match=message):
        plots.gradient_flow(model)
