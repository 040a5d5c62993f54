"""Every neuron's numbers for one sample, against the chain rule and finite differences."""

import numpy as np
import pytest

import nn
import tinygrad_edu as tg

X = np.array([0.5, -1.0, 2.0])


def network(activation="tanh"):
    linears = [nn.Linear(n, m, dtype=np.float64) for n, m in ((3, 4), (4, 2))]
    return nn.Sequential(linears[0], nn.layers.activation.activation_module(activation), linears[1])


def loss_after(model, layer, shifted, by, y):
    """L if the output of a module were another by so much: what ∂L/∂(its output) is about."""

    def shift(module, inputs, output):
        return output + np.eye(output.shape[1])[shifted] * by

    remove = model[layer].register_forward_hook(shift)
    try:
        return tg.cross_entropy(model(X[None]), np.array([y])).item()
    finally:
        remove()


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
def test_the_gradients_by_z_and_a_are_those_of_finite_differences(activation):
    model, h = network(activation), 1e-6
    rows = nn.experiments.neurons(model, X, 1).rows
    for i, row in enumerate(rows[:4]):
        by_z, by_a = (
            (loss_after(model, layer, i, h, 1) - loss_after(model, layer, i, -h, 1)) / (2 * h)
            for layer in (0, 1)
        )
        assert row.z_grad == pytest.approx(by_z, abs=1e-8)
        assert row.activation_grad == pytest.approx(by_a, abs=1e-8)


def test_z_and_a_are_computed_layer_by_layer():
    model = network("tanh")
    rows = nn.experiments.neurons(model, X, 0).rows
    z = model[0].weight.data @ X + model[0].bias.data
    np.testing.assert_allclose([row.z for row in rows[:4]], z)
    np.testing.assert_allclose([row.activation for row in rows[:4]], np.tanh(z))
    last = model[2].weight.data @ np.tanh(z) + model[2].bias.data
    np.testing.assert_allclose([(row.z, row.activation) for row in rows[4:]], np.c_[last, last])
    assert [row.path for row in rows] == [*(f"0.{i}" for i in range(4)), "2.0", "2.1"]


def test_both_tiers_show_the_same_numbers():
    scalar = nn.MLP(3, [4, 2], "sigmoid")
    target = [0.3, -0.2]
    of_values = nn.experiments.neurons(scalar, X, target)
    of_tensors = nn.experiments.neurons(scalar.to_tensor(), X, target)
    assert of_values.loss == pytest.approx(of_tensors.loss)
    for a, b in zip(of_values.rows, of_tensors.rows, strict=True):
        assert a[1] == b[1]
        np.testing.assert_allclose(a[2:], b[2:], atol=1e-12)


def test_values_show_what_their_own_table_shows_after_backward():
    model = nn.MLP(2, [3, 1], "tanh")
    rows = nn.experiments.neurons(model, [1.0, 2.0]).rows
    model([1.0, 2.0]).backward()
    for a, b in zip(rows, model.table(), strict=True):
        assert a[:2] == b[:2]
        np.testing.assert_allclose(a[2:], b[2:])


def test_looking_leaves_gradients_modes_and_running_statistics_alone():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))
    model[0].weight.grad = np.ones((4, 3), np.float32)
    nn.experiments.neurons(model, X, 1.0)
    assert (model[0].weight.grad == 1).all()
    assert model[3].weight.grad is None
    assert (model[1].running_mean == 0).all()
    assert all(module.training for module in model.modules())


def test_a_frozen_model_has_gradients_to_show_too():
    model = network()
    free = nn.experiments.neurons(model, X, 1)
    assert nn.experiments.neurons(model.freeze(), X, 1) == free


def test_what_is_no_linear_layer_and_no_activation_of_one_is_named():
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(4), nn.LeakyReLU(0.2)
    )
    found = nn.experiments.neurons(model, np.ones((1, 4, 4)), [0.0, 1.0, 0.0, 0.0])
    assert found.left_out == ("0 Conv2d", "1 ReLU", "2 Flatten")
    assert [row.path for row in found.rows] == ["3.0", "3.1", "3.2", "3.3"]
    assert str(found).endswith("left out: 0 Conv2d, 1 ReLU, 2 Flatten")


def test_an_activation_module_that_is_used_twice_is_seen_after_each_layer():
    relu = nn.ReLU()
    model = nn.Sequential(nn.Linear(3, 5), relu, nn.Linear(5, 5), relu, nn.Linear(5, 2))
    rows = nn.experiments.neurons(model, X, 0).rows
    assert [row.activation_name for row in rows] == ["relu"] * 10 + ["linear"] * 2
    assert all(row.activation == max(row.z, 0) for row in rows[:10])


def test_linear_layers_at_several_places_are_left_out():
    model = nn.Sequential(nn.Linear(3, 2), nn.Flatten(), nn.Linear(8, 1))
    found = nn.experiments.neurons(model, np.ones((4, 3)))
    assert found.left_out == ("0 Linear", "1 Flatten")
    assert [row.path for row in found.rows] == ["2.0"]


def test_a_loss_of_ones_own_gets_the_output_and_the_target():
    model = network()
    found = nn.experiments.neurons(model, X, [1.0, 2.0], lambda output, y: (output * y).sum())
    assert [row.z_grad for row in found.rows[4:]] == [1.0, 2.0]
    alone = nn.experiments.neurons(model, X, loss=lambda output: output.sum())
    assert [row.z_grad for row in alone.rows[4:]] == [1.0, 1.0]


def test_several_outputs_without_a_target_are_no_loss():
    with pytest.raises(nn.ConfigurationError, match="target y"):
        nn.experiments.neurons(network(), X)


def test_a_model_without_linear_layers_has_nothing_to_show():
    with pytest.raises(nn.ConfigurationError, match="no neurons"):
        nn.experiments.neurons(nn.Sequential(nn.Tanh()), [1.0])
