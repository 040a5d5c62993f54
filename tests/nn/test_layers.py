"""Linear, activations, Flatten, Dropout, Sequential, and the scale of initial weights."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
import tinygrad_edu as tg
from tinygrad_edu import Tensor


@given(batch=st.integers(0, 4), n_in=st.integers(1, 5), n_out=st.integers(1, 5), bias=st.booleans())
def test_linear_is_a_matrix_product_plus_a_bias(batch, n_in, n_out, bias):
    layer = nn.Linear(n_in, n_out, bias=bias)
    x = np.random.default_rng(0).normal(size=(batch, n_in)).astype(np.float32)
    expected = x @ layer.weight.data.T + (layer.bias.data if bias else 0)
    np.testing.assert_allclose(layer(x).data, expected, rtol=1e-6)
    assert layer(x).dtype == np.float32


def test_linear_keeps_its_float64():
    layer = nn.Linear(2, 3, dtype=np.float64)
    assert layer(np.ones((1, 2))).dtype == np.float64


@pytest.mark.parametrize("activation", sorted(nn.init.RELU_FAMILY))
def test_weights_before_a_relu_have_hes_variance(activation):
    weight = nn.Linear(400, 300, nonlinearity=activation, rng=np.random.default_rng(0)).weight.data
    # The standard error of a variance over 120,000 draws is about 0.4 %.
    assert weight.var() == pytest.approx(2 / 400, rel=0.03)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "linear"])
def test_other_weights_have_glorots_variance(activation):
    weight = nn.Linear(400, 300, nonlinearity=activation, rng=np.random.default_rng(0)).weight.data
    assert weight.var() == pytest.approx(2 / (400 + 300), rel=0.03)


def test_scalar_neurons_start_at_the_same_scale_as_linear_layers():
    rng = np.random.default_rng(0)
    layer = nn.Layer(50, 100, "relu", rng=rng)
    weights = [w.data for neuron in layer.neurons for w in neuron.weights]
    assert np.var(weights) == pytest.approx(2 / 50, rel=0.1)


@pytest.mark.parametrize("name", sorted(nn.ACTIVATIONS))
def test_an_activation_module_applies_the_function_of_its_name(name):
    x = Tensor(np.linspace(-3, 3, 7))
    module = nn.zoo.feedforward([1, 1, 1], activation=name)[1]
    np.testing.assert_array_equal(module(x).data, nn.ACTIVATIONS[name](x).data)


def test_activations_take_their_options():
    x = Tensor(np.array([-2.0]))
    assert nn.LeakyReLU(0.25)(x).item() == -0.5
    assert nn.GELU("tanh")(x).item() != nn.GELU()(x).item()
    with pytest.raises(tg.UnknownNameError, match="none, tanh"):
        nn.GELU("tan")


def test_flatten_merges_all_axes_but_the_first():
    x = Tensor(np.zeros((2, 3, 4, 5)))
    assert nn.Flatten()(x).shape == (2, 60)
    assert nn.Flatten(1, 2)(x).shape == (2, 12, 5)
    assert nn.Flatten(0, -2)(x).shape == (24, 5)
    with pytest.raises(tg.ShapeError, match=r"start_dim=1.* 1 axes"):
        nn.Flatten()(Tensor(np.zeros(3)))


def test_dropout_keeps_the_expectation_and_passes_gradient_where_it_kept():
    x = Tensor(np.ones((200, 500), np.float32), requires_grad=True)
    y = nn.Dropout(0.3, np.random.default_rng(0))(x)
    y.sum().backward()
    # 100,000 draws of mean 1 and variance p / (1 - p): the standard error is 0.002.
    assert y.data.mean() == pytest.approx(1, abs=0.01)
    np.testing.assert_array_equal(x.grad, y.data)
    assert y.dtype == np.float32


def test_dropout_does_nothing_in_use_and_drops_everything_at_one():
    x = Tensor(np.ones(10))
    assert nn.Dropout(0.5).eval()(x) is x
    assert nn.Dropout(1.0)(x).data.sum() == 0
    with pytest.raises(nn.ConfigurationError, match="probability"):
        nn.Dropout(1.5)


def test_sequential_applies_in_order_and_slices_share_parameters():
    model = nn.zoo.feedforward([4, 8, 8, 2])
    x = np.ones((3, 4), np.float32)
    step = x
    for module in model:
        step = module(step)
    np.testing.assert_array_equal(model(x).data, step.data)
    assert model[:2].parameters()[0] is model.parameters()[0]
    assert len(model[1:]) == len(model) - 1


def test_sequential_takes_names_and_grows():
    model = nn.Sequential({"hidden": nn.Linear(2, 3), "out": nn.Linear(3, 1)})
    assert model.hidden is model[0]
    assert [n for n, _ in model.append(nn.ReLU()).named_modules()] == ["", "hidden", "out", "2"]


def test_sequential_refuses_functions_and_indices_out_of_range():
    with pytest.raises(nn.ConfigurationError, match=r"nn\.ReLU\(\)"):
        nn.Sequential(tg.relu)
    with pytest.raises(tg.IndexingError, match="2 modules"):
        nn.Sequential(nn.ReLU(), nn.ReLU())[5]


@pytest.mark.parametrize("sizes", [(0, 1), (1, -1), (1.5, 1), (1, "2")])
def test_linear_refuses_sizes_that_are_not_positive_integers(sizes):
    with pytest.raises(
        nn.ConfigurationError, match=r"(in|out)_features must be a positive integer"
    ):
        nn.Linear(*sizes)


def test_a_seed_repeats_weights_and_masks():
    draws = []
    for _ in range(2):
        nn.manual_seed(3)
        draws.append((nn.Linear(3, 3).weight.data, nn.Dropout()(Tensor(np.ones(50))).data))
    np.testing.assert_array_equal(draws[0][0], draws[1][0])
    np.testing.assert_array_equal(draws[0][1], draws[1][1])


def test_glorots_bound_is_the_square_root_of_six_over_the_fans():
    draw = nn.init.glorot_uniform(10, 14, (1000,), np.random.default_rng(0))
    assert np.abs(draw).max() <= math.sqrt(6 / 24)
