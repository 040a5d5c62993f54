"""Three gradients that libraries like this one have shipped wrong, each against its formula."""

import numpy as np

import nn
from tinygrad_edu import Tensor


def leaf(data):
    return Tensor(np.array(data, np.float64), requires_grad=True)


def test_batch_norm_in_eval_mode_has_constants_for_statistics():
    rng = np.random.default_rng(0)
    norm = nn.BatchNorm1d(3).to(np.float64)
    norm.weight.data = rng.uniform(0.5, 2, 3)
    norm(rng.normal(2, 3, (64, 3)))  # moves the running statistics
    x, g = leaf(rng.normal(size=(5, 3))), rng.normal(size=(5, 3))
    norm.eval()(x).backward(g)
    # ∂y/∂x = γ / √(σ² + ε), entry by entry: no term for a mean that moves with x.
    expected = g * norm.weight.data / np.sqrt(norm.running_var + norm.eps)
    np.testing.assert_allclose(x.grad, expected, rtol=1e-12)


def test_max_pooling_gives_a_tie_to_its_first_entry_and_to_no_other():
    x = leaf(np.zeros((1, 1, 4, 4)))
    nn.MaxPool2d(2)(x).sum().backward()
    first = np.zeros((4, 4))
    first[::2, ::2] = 1  # the upper left one of each window
    np.testing.assert_array_equal(x.grad[0, 0], first)


def test_overlapping_windows_of_max_pooling_add_up():
    x = leaf([[[[1.0, 5.0, 2.0]]]])
    nn.MaxPool2d((1, 2), stride=1)(x).sum().backward()
    assert x.grad.ravel().tolist() == [0, 2, 0]


def test_softmax_as_a_layer_has_the_whole_jacobian():
    x = leaf([0.3, -1.0, 2.0])
    p = np.exp(x.data) / np.exp(x.data).sum()
    jacobian = []
    for i in range(3):
        x.zero_grad()
        nn.Softmax(dim=-1)(x)[i].backward()
        jacobian.append(x.grad)
    # ∂pᵢ/∂xⱼ = pᵢ (δᵢⱼ - pⱼ)
    np.testing.assert_allclose(jacobian, np.diag(p) - np.outer(p, p), rtol=1e-12, atol=1e-15)
