"""Activations swapped in one network, against the same network written out in NumPy."""

import numpy as np
import pytest

import nn
import tinygrad_edu as tg

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 5)).astype(np.float32)
Y = X.argmax(1)
FUNCTIONS = {
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "sigmoid": (
        lambda z: 1 / (1 + np.exp(-z)),
        lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2,
    ),
}


def by_hand(name, weights):
    """The loss, and ‖∂L/∂(W, b)‖ of each layer, by backpropagation written out in float64."""
    f, slope = FUNCTIONS[name]
    inputs, zs = [X.astype(float)], []
    for w in weights:
        zs.append(inputs[-1] @ w.T)  # biases are 0 at first
        inputs.append(f(zs[-1]))
    p = np.exp(zs[-1]) / np.exp(zs[-1]).sum(1, keepdims=True)
    loss = -np.log(p[np.arange(len(Y)), Y]).mean()
    d = (p - np.eye(p.shape[1])[Y]) / len(Y)
    norms = []
    for i in reversed(range(len(weights))):
        norms.append(np.sqrt(((d.T @ inputs[i]) ** 2).sum() + (d.sum(0) ** 2).sum()))
        if i:
            d = d @ weights[i] * slope(zs[i - 1])
    return loss, norms[::-1], zs[:-1]


@pytest.fixture(scope="module")
def found():
    return nn.experiments.swap_activations(tuple(FUNCTIONS), X, Y, hidden=(8, 6), seed=3)


def weights_of_seed_3():
    rng = np.random.default_rng(3)
    return [nn.Linear(n, m, rng=rng).weight.data for n, m in ((5, 8), (8, 6), (6, 5))]


def test_every_norm_is_that_of_backpropagation_by_hand_from_one_set_of_weights(found):
    for row in found.rows:
        loss, norms, _ = by_hand(row.activation, weights_of_seed_3())
        assert row.loss == pytest.approx(loss, rel=1e-5)
        np.testing.assert_allclose(row.gradient_norms, norms, rtol=1e-4)


def test_the_shares_are_of_zeros_and_of_slopes_next_to_nothing(found):
    for row in found.rows:
        f, slope = FUNCTIONS[row.activation]
        _, _, zs = by_hand(row.activation, weights_of_seed_3())
        np.testing.assert_allclose(row.zero, [(f(z) == 0).mean() for z in zs])
        flat = [((f(z) != 0) & (slope(z) < 0.02)).mean() for z in zs]
        np.testing.assert_allclose(row.saturated, flat)


def test_large_samples_saturate_tanh_and_not_relu():
    relu, tanh = nn.experiments.swap_activations(("relu", "tanh"), 50 * X, Y, hidden=[8]).rows
    assert tanh.saturated[0] > 0.8
    assert tanh.zero[0] == relu.saturated[0] == 0
    assert 0 < relu.zero[0] < 1


def test_the_table_shows_every_layer_with_every_activation(found):
    lines = str(found).splitlines()
    assert lines[1].split() == ["layer", "relu", "tanh", "sigmoid"]
    assert [line[:9] for line in lines[3:6]] == ["1: 5 -> 8", "2: 8 -> 6", "3: 6 -> 5"]


def test_by_default_it_looks_at_digits():
    found = nn.experiments.swap_activations(("softplus",), hidden=[4])
    assert found.sizes == (64, 4, 10)


def test_an_unknown_activation_is_named_before_anything_is_computed():
    with pytest.raises(tg.UnknownNameError, match="Did you mean 'relu'"):
        nn.experiments.swap_activations(["tanh", "rellu"], X, Y)


def test_samples_and_classes_come_together():
    with pytest.raises(nn.ConfigurationError, match="x and y together"):
        nn.experiments.swap_activations(x=X)


@pytest.mark.parametrize(("x", "y"), [(X, Y[:-1]), (X[:0], Y[:0]), (X, Y[:, None])])
def test_samples_without_a_class_each_are_refused(x, y):
    with pytest.raises(tg.ShapeError, match=r"x \(N, ...\) and classes y \(N,\)"):
        nn.experiments.swap_activations(x=x, y=y)


def test_targets_that_are_no_classes_are_refused():
    with pytest.raises(tg.TargetError, match="integer labels"):
        nn.experiments.swap_activations(x=X, y=Y + 0.5)
