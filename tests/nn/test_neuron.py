"""The scalar tier: z = w·x + b, and the derivatives that the chain rule gives by hand."""

import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
import tinygrad_edu as tg
from tinygrad_edu import Tensor, Value

NUMBERS = st.floats(-3, 3).filter(lambda x: abs(x) > 1e-3)


def slope(name, z):
    """The derivative of an activation at z, by central differences."""
    f, h = nn.ACTIVATIONS[name], 1e-6
    return (f(z + h) - f(z - h)) / (2 * h)


@given(x=st.lists(NUMBERS, min_size=1, max_size=5), name=st.sampled_from(sorted(nn.ACTIVATIONS)))
def test_a_neurons_gradients_are_those_of_the_chain_rule(x, name):
    neuron = nn.Neuron(len(x), activation=name)
    inputs = [Value(v) for v in x]
    neuron(inputs).backward()
    z = sum(w.data * v for w, v in zip(neuron.weights, x, strict=True)) + neuron.bias.data
    local = slope(name, z)
    assert neuron.z.data == pytest.approx(z)
    assert neuron.z.grad == pytest.approx(local, abs=1e-5)
    assert neuron.bias.grad == pytest.approx(local, abs=1e-5)
    assert [w.grad for w in neuron.weights] == pytest.approx([local * v for v in x], abs=1e-4)
    assert [v.grad for v in inputs] == pytest.approx(
        [local * w.data for w in neuron.weights], abs=1e-4
    )


def test_a_neuron_keeps_z_and_its_activation_as_nodes():
    neuron = nn.Neuron(2, activation="tanh")
    assert neuron.z is None
    out = neuron([1.0, 2.0])
    assert neuron.activation is out
    assert out.data == math.tanh(neuron.z.data)
    assert (neuron.z.label, out.label) == ("z", "a")


@given(seed=st.integers(0, 1000), name=st.sampled_from(sorted(nn.ACTIVATIONS)))
def test_a_layer_of_neurons_is_a_linear_layer_and_an_activation(seed, name):
    rng = np.random.default_rng(seed)
    layer, x = nn.Layer(3, 4, name, rng=rng), rng.normal(size=3)
    outputs = layer(x.tolist())
    sum(outputs[1:], start=outputs[0]).backward()
    weight = Tensor(np.array([[w.data for w in n.weights] for n in layer.neurons]), True)
    vector = nn.ACTIVATIONS[name](weight @ x)
    vector.sum().backward()
    np.testing.assert_allclose([a.data for a in outputs], vector.data, rtol=1e-12, atol=1e-12)
    scalar = [[w.grad for w in n.weights] for n in layer.neurons]
    np.testing.assert_allclose(scalar, weight.grad, rtol=1e-12, atol=1e-12)


def test_an_mlp_has_its_hidden_activation_and_a_linear_output():
    model = nn.MLP(2, [3, 1], activation="sigmoid")
    names = [n.activation_name for layer in model.layers for n in layer.neurons]
    assert names == ["sigmoid"] * 3 + ["linear"]
    assert isinstance(model([0.5, 1.0]), Value)


def test_an_mlp_takes_rows_of_an_array_and_layers_of_one_neuron():
    model = nn.MLP(2, [1, 1, 3])
    assert [type(out) for out in model(np.array([1.0, 2.0], np.float32))] == [Value] * 3


def test_every_neuron_of_a_network_is_a_place_in_the_graph():
    y = nn.MLP(2, [2, 1])([1.0, 2.0])
    scopes = {n.scope for n in tg.topological_order(y) if not n.is_leaf}
    assert scopes == {"layers.0.neurons.0", "layers.0.neurons.1", "layers.1.neurons.0"}


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_network_that_has_run_can_be_copied_without_its_graph(duplicate):
    model = nn.MLP(2, [3, 1])
    y = model([0.5, -1.0])
    twin = duplicate(model)
    assert twin.layers[0].neurons[0].z is None
    assert twin([0.5, -1.0]).data == y.data
    assert not set(twin.parameters()) & set(model.parameters())


def test_wrong_sizes_and_names_are_refused_by_name():
    with pytest.raises(tg.ShapeError, match="neuron with 3 weights takes 3 inputs, not 2"):
        nn.Neuron(3)([1.0, 2.0])
    with pytest.raises(tg.ShapeError, match=r"in layers\.0\.neurons\.0"):
        nn.MLP(3, [2, 1])([1.0, 2.0])
    with pytest.raises(tg.UnknownNameError, match=r"'rleu'.*'relu'.*sigmoid"):
        nn.Neuron(2, activation="rleu")
    for make in (lambda: nn.Neuron(0), lambda: nn.Layer(2, 0), lambda: nn.MLP(2, [])):
        with pytest.raises(nn.ConfigurationError):
            make()
