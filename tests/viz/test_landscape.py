"""A loss landscape shows the loss around a model, and leaves the model as it was."""

import numpy as np
import pytest

import nn
import tinygrad_edu as tg
from viz import plots
from viz.plots import landscape

X = np.random.default_rng(1).normal(size=(6, 3))


def shown(monkeypatch, *args, **options):
    """The losses that are drawn, and the places they are of."""
    drawn = []
    monkeypatch.setattr(landscape, "_draw", lambda axes, *numbers: drawn.extend(numbers))
    plots.loss_landscape(*args, **options)
    return drawn


def test_along_given_directions_the_loss_is_that_of_the_moved_parameters(monkeypatch):
    w = tg.Tensor(np.array([[1.0, 2.0]]), requires_grad=True)
    directions = [[[1.0, 0.0]]], [[[0.0, 3.0]]]
    places, losses = shown(
        monkeypatch, lambda: tg.sum(w * w), [("w", w)], directions=directions, span=2, resolution=5
    )
    np.testing.assert_array_equal(places, [-2, -1, 0, 1, 2])
    a, b = np.meshgrid(places, places)
    np.testing.assert_allclose(losses, (1 + a) ** 2 + (2 + 3 * b) ** 2)


def test_random_directions_have_the_norm_of_each_filter_and_leave_biases_alone(monkeypatch):
    conv = nn.Conv2d(3, 4, 3)
    seen = []
    monkeypatch.setattr(landscape, "_losses", lambda *a: seen.append(a) or np.ones((2, 2)))
    plots.loss_landscape(lambda: 1.0, conv, resolution=2)
    (_, _, steps, _) = seen[0]
    norms = np.linalg.norm(conv.weight.data.reshape(4, -1).astype(float), axis=1)
    for weight, bias in steps:
        np.testing.assert_allclose(np.linalg.norm(weight.reshape(4, -1), axis=1), norms)
        assert not bias.any()
    cosine = np.vdot(steps[0][0], steps[1][0]) / np.square(norms).sum()
    assert abs(cosine) < 0.5  # two directions, not one


def test_a_model_and_its_twin_with_layers_scaled_apart_have_one_landscape(monkeypatch):
    # relu(10 x W) (V / 10) is the same function; Li et al. normalise so that it looks the same.
    def losses(scale):
        nn.manual_seed(0)
        model = nn.Sequential(
            nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 2, bias=False)
        ).to(np.float64)
        model[0].weight.data[...] *= scale
        model[2].weight.data[...] /= scale
        loss = lambda: tg.mean(model(X) ** 2)
        return shown(monkeypatch, loss, model, resolution=5)[1]

    np.testing.assert_allclose(losses(10.0), losses(1.0), rtol=1e-10)


def test_neurons_of_values_have_filters_too(monkeypatch):
    model = nn.MLP(2, [2, 1])
    before = [p.data for p in model.parameters()]
    _, losses = shown(monkeypatch, lambda: model([1.0, 2.0]) ** 2, model, resolution=3)
    assert len(np.unique(losses)) > 1
    assert [p.data for p in model.parameters()] == before


@pytest.mark.parametrize("calls", [3, 100])
def test_the_parameters_are_afterwards_what_they_were_whatever_happens(calls):
    model = nn.Linear(3, 2)
    before, memory = model.state_dict(), [p.data for p in model.parameters()]
    made = 0

    def loss():
        nonlocal made
        made += 1
        if made > calls:
            raise KeyboardInterrupt
        return tg.sum(model(X.astype(np.float32)) ** 2)

    try:
        plots.loss_landscape(loss, model, resolution=5)
    except KeyboardInterrupt:
        assert calls == 3
    np.testing.assert_equal(model.state_dict(), before)
    assert all(p.data is array for p, array in zip(model.parameters(), memory, strict=True))


def test_a_graph_made_before_knows_that_the_parameters_moved():
    w = tg.Tensor(np.ones((2, 2)), requires_grad=True)
    y = tg.sum(w * w)
    plots.loss_landscape(lambda: tg.sum(w), [("w", w)], resolution=2)
    with pytest.raises(tg.TinygradError, match="changed"):
        y.backward()


def test_a_loss_that_is_not_finite_somewhere_is_drawn_all_the_same():
    w = tg.Tensor(np.full((1, 2), 0.5), requires_grad=True)
    axes = plots.loss_landscape(lambda: tg.sum(tg.log(w)), [("w", w)], span=2, resolution=7)
    assert plots.svg(axes).startswith("<?xml")


@pytest.mark.parametrize(
    ("loss", "options", "error", "message"),
    [
        (lambda: X, {}, plots.PlotError, "one number"),
        (lambda: np.nan, {}, plots.PlotError, "finite nowhere"),
        (lambda: 1.0, {"span": 0}, plots.PlotError, "span above 0"),
        (lambda: 1.0, {"resolution": 1}, plots.PlotError, "at least 2"),
        (lambda: 1.0, {"directions": ([[1.0]], [[1.0]])}, tg.ShapeError, "takes arrays"),
    ],
)
def test_what_makes_no_landscape_is_an_error(loss, options, error, message):
    with pytest.raises(error, match=message):
        plots.loss_landscape(loss, nn.Linear(3, 2), **options)


def test_without_weights_there_is_no_random_direction():
    with pytest.raises(plots.PlotError, match="pass directions"):
        plots.loss_landscape(lambda: 1.0, [("b", tg.Tensor(np.ones(3), requires_grad=True))])
