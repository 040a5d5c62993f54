"""Hooks: what goes through a module, forward and backward."""

import copy

import numpy as np
import pytest

import nn
from tinygrad_edu import Tensor, Value


@pytest.fixture
def model():
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)


def test_a_forward_hook_sees_input_and_output_until_it_is_removed(model):
    seen = []
    remove = model[1].register_forward_hook(lambda module, x, y: seen.append((module, x[0], y)))
    model(X)
    [(module, x, y)] = seen
    assert module is model[1]
    np.testing.assert_array_equal(np.tanh(x.data), y.data)
    remove()
    model(X)
    assert len(seen) == 1


def test_what_a_hook_returns_takes_the_place_of_input_or_output(model):
    expected = model[2](model[1](model[0](2 * X)) * 0).data
    model[0].register_forward_pre_hook(lambda module, inputs: 2 * inputs[0])
    model[1].register_forward_hook(lambda module, x, y: y * 0)
    np.testing.assert_array_equal(model(X).data, expected)


def test_a_backward_hook_sees_the_gradients_that_the_graph_has(model):
    seen = []
    model[1].register_full_backward_hook(lambda module, gx, gy: seen.append((gx[0], gy[0])))
    hidden = Tensor(X @ model[0].weight.data.T, requires_grad=True)
    model[2](hidden.tanh()).sum().backward()
    y = model(X).sum()
    y.backward()
    y.backward()  # once more, through the same graph
    assert len(seen) == 2
    np.testing.assert_allclose(seen[0][0], hidden.grad, rtol=1e-6)
    np.testing.assert_allclose(seen[0][1], np.ones((2, 1)) * model[2].weight.data.sum(0), rtol=1e-6)
    np.testing.assert_array_equal(seen[0][0], seen[1][0])


def test_an_input_that_is_also_used_elsewhere_counts_with_what_this_module_does():
    seen = []
    tanh = nn.Tanh()
    tanh.register_full_backward_hook(lambda module, gx, gy: seen.append(gx[0]))
    x = Tensor(np.zeros(1), requires_grad=True)
    (tanh(x) + 5 * x).sum().backward()
    assert seen[0].tolist() == [1]
    assert x.grad.tolist() == [6]


def test_where_no_input_has_a_gradient_the_outputs_do(model):
    seen = []
    model[0].register_full_backward_hook(lambda module, gx, gy: seen.append((gx, gy[0].shape)))
    model(X).sum().backward()
    assert seen == [((None,), (2, 4))]


def test_hooks_work_on_neurons_of_values():
    seen = []
    neuron = nn.Neuron(1, activation="linear")
    neuron.register_full_backward_hook(lambda module, gx, gy: seen.append((gx, gy)))
    (3 * neuron([Value(2.0)])).backward()
    assert seen[0][1] == (3.0,)


def test_a_copy_of_a_module_has_no_hooks(model):
    seen = []
    model.register_forward_hook(lambda module, x, y: seen.append(y))
    copy.deepcopy(model)(X)
    assert seen == []
