"""The scalar tier: z = w·x + b, and the derivatives that the chain rule gives by hand."""

import copy
import math
import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
import tinygrad_edu as tg
import viz
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


NAMES = st.sampled_from(sorted(nn.ACTIVATIONS))


@given(
    st.integers(1, 3),
    st.lists(st.tuples(st.integers(1, 3), NAMES), min_size=1, max_size=3),
    st.integers(0, 1000),
)
def test_a_network_of_tensors_has_the_outputs_and_gradients_of_its_values(n_in, layers, seed):
    rng = np.random.default_rng(seed)
    sizes, names = zip(*layers, strict=True)
    scalar = nn.MLP(n_in, sizes, names[:-1], names[-1], rng=rng)
    model, x = scalar.to_tensor(), rng.normal(size=(2, n_in))
    outputs = [y for row in x for y in as_list(scalar(row))]
    y = model(Tensor(x))
    (y * y).sum().backward()
    sum(v * v for v in outputs).backward()
    close = {"rtol": 1e-12, "atol": 1e-12}
    np.testing.assert_allclose([v.data for v in outputs], y.data.ravel(), **close)
    linears = [module for module in model if isinstance(module, nn.Linear)]
    for layer, linear in zip(scalar.layers, linears, strict=True):
        weights = [[w.grad for w in neuron.weights] for neuron in layer.neurons]
        np.testing.assert_allclose(weights, linear.weight.grad, **close)
        biases = [neuron.bias.grad for neuron in layer.neurons]
        np.testing.assert_allclose(biases, linear.bias.grad, **close)


def as_list(outputs):
    return [outputs] if isinstance(outputs, Value) else outputs


@given(NAMES, NAMES, st.sampled_from([[1], [3], [2, 1], [3, 2, 2]]))
def test_a_network_becomes_one_of_tensors_and_back(activation, output_activation, sizes):
    model = nn.MLP(2, sizes, activation, output_activation)
    back = nn.MLP.from_tensor(model.to_tensor())
    assert back.state_dict() == model.state_dict()
    assert repr(back) == repr(model)
    assert not set(back.parameters()) & set(model.parameters())


@given(NAMES, st.sampled_from([[1], [3], [3, 2], [2, 2, 1]]), st.integers(0, 1000))
def test_fused_neurons_have_the_same_numbers_and_a_node_less_for_every_product(name, sizes, seed):
    plain = nn.MLP(2, sizes, name, "tanh", rng=np.random.default_rng(seed))
    fused = nn.MLP.from_tensor(plain.to_tensor(), fused=True)
    found, counts = [], []
    for model in (plain, fused):
        x = [Value(0.5), Value(-1.25)]
        loss = sum(y * y for y in as_list(model(x)))
        loss.backward()
        numbers = [n.data for n in (loss, *(e.z for e in model.modules() if hasattr(e, "z")))]
        found.append([*numbers, *(node.grad for node in (*x, *model.parameters()))])
        counts.append(len(tg.topological_order(loss)))
    assert found[0] == pytest.approx(found[1], rel=1e-12, abs=1e-12)
    products = sum(a * b for a, b in pairwise([2, *sizes]))
    neurons = sum(sizes)
    assert counts[0] - counts[1] == 2 * products - neurons


def test_fused_neurons_say_so_and_stay_so():
    model = nn.MLP(2, [1], fused=True)
    assert "Neuron(2 inputs, linear, fused): 3" in repr(model)
    assert "fused" not in repr(nn.MLP(2, [1]))
    y = copy.deepcopy(model)([0.5, Value(-1.0, label="x1")])
    assert (y.op.name, y.label, y.scope) == ("weighted_sum", "z", "layers.0.neurons.0")
    with pytest.raises(tg.ShapeError, match="neuron with 2 weights"):
        model([1.0])


def test_a_network_of_tensors_drops_and_casts_what_it_is_told_to():
    model = nn.MLP(2, [3, 3, 1], dropout=0.25).eval().to_tensor(np.float32)
    kinds = [type(module).__name__ for module in model]
    assert kinds == ["Linear", "ReLU", "Dropout"] * 2 + ["Linear"]
    assert {p.dtype for p in model.parameters()} == {np.dtype(np.float32)}
    assert not model.training


def test_a_linear_without_a_bias_has_neurons_with_a_bias_of_zero():
    linear = nn.Linear(2, 1, bias=False, dtype=np.float64)
    model = nn.MLP.from_tensor([linear])
    assert model.layers[0].neurons[0].bias.data == 0
    assert model([1.0, -2.0]).data == pytest.approx(linear(np.array([1.0, -2.0])).item())


@pytest.mark.parametrize(
    "modules",
    [
        [nn.ReLU()],
        [nn.Linear(2, 2), nn.ReLU(), nn.Tanh()],
        [nn.Linear(2, 2), nn.LeakyReLU(0.5)],
        [nn.Linear(2, 2), nn.Softmax()],
        [nn.Linear(2, 2), nn.Flatten()],
        [],
    ],
)
def test_what_is_no_network_of_neurons_does_not_become_one(modules):
    with pytest.raises(nn.ConfigurationError, match=r"MLP.from_tensor takes .*Linear"):
        nn.MLP.from_tensor(nn.Sequential(*modules))


def test_activations_may_differ_from_layer_to_layer():
    model = nn.MLP(2, [2, 3, 1], ["tanh", "relu"], "sigmoid")
    names = [[neuron.activation_name for neuron in layer.neurons] for layer in model.layers]
    assert names == [["tanh"] * 2, ["relu"] * 3, ["sigmoid"]]
    with pytest.raises(nn.ConfigurationError, match="2 and not 3; that of the last is output_act"):
        nn.MLP(2, [2, 3, 1], ["tanh"] * 3)


def test_the_table_of_a_network_holds_every_neurons_numbers_and_their_gradients():
    model = nn.MLP(2, [2, 1], "tanh")
    with pytest.raises(tg.GradientError, match=r"layers\.0\.neurons\.0 has no z.*call the model"):
        model.table()
    (model([0.5, -1.0]) ** 2).backward()
    table = model.table()
    assert [row.path for row in table] == [
        "layers.0.neurons.0",
        "layers.0.neurons.1",
        "layers.1.neurons.0",
    ]
    for row in table[:2]:
        assert row.activation == math.tanh(row.z)
        assert row.z_grad == pytest.approx((1 - row.activation**2) * row.activation_grad)
    assert table[2].z_grad == table[2].activation_grad == 2 * table[2].z  # of its square
    _, _, *lines = repr(table).splitlines()  # a header and a rule
    assert all(f"{row.z_grad:+.5f}" in line for row, line in zip(table, lines, strict=True))


def test_a_layer_and_a_neuron_have_a_table_too():
    layer, neuron = nn.Layer(2, 3, "relu"), nn.Neuron(2)
    with pytest.raises(tg.GradientError, match="this neuron has no z"):
        neuron.table()
    layer([0.5, -1.0]), neuron([0.5, -1.0])
    assert [row.path for row in layer.table()] == ["neurons.0", "neurons.1", "neurons.2"]
    (row,) = neuron.table()
    assert row.activation == math.tanh(row.z)
    assert repr(neuron.table()).splitlines()[-1].startswith("(model)  tanh")
    assert "(model)" in str(viz.text.neuron_table(neuron))


def test_dropout_between_layers_drops_values_and_keeps_their_mean_in_training_only():
    drop, x = nn.Dropout(0.25, rng=np.random.default_rng(0)), [Value(1.0) for _ in range(2000)]
    y = [v.data for v in drop(x)]
    assert set(y) == {0, 1 / 0.75}
    assert np.mean(y) == pytest.approx(1, abs=0.065)  # five standard errors
    assert drop.eval()(x) is x
    model = nn.MLP(2, [20, 20, 1], dropout=0.5)
    assert len({model([1.0, 2.0]).data for _ in range(3)}) == 3
    assert len({model.eval()([1.0, 2.0]).data for _ in range(3)}) == 1


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
    with pytest.raises(nn.ConfigurationError, match="probability"):
        nn.MLP(2, [2, 1], dropout=2)
    for make in (lambda: nn.Neuron(0), lambda: nn.Layer(2, 0), lambda: nn.MLP(2, [])):
        with pytest.raises(nn.ConfigurationError):
            make()
