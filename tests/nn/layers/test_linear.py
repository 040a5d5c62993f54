"""Linear and Bilinear, against sums of products."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
import tinygrad_edu as tg
from tinygrad_edu import Tensor

SIZES = st.integers(1, 5)


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@given(batch=st.integers(0, 4), n_in=SIZES, n_out=SIZES, bias=st.booleans())
def test_linear_is_a_matrix_product_plus_a_bias(batch, n_in, n_out, bias):
    layer, x = nn.Linear(n_in, n_out, bias), normal(batch, n_in)
    expected = x @ layer.weight.data.T + (layer.bias.data if bias else 0)
    np.testing.assert_allclose(layer(x).data, expected, rtol=1e-6)
    assert layer(x).dtype == np.float32


def test_linear_keeps_its_float64():
    layer = nn.Linear(2, 3, dtype=np.float64)
    assert layer(np.ones((1, 2))).dtype == np.float64


@pytest.mark.parametrize("sizes", [(0, 1), (1, -1), (1.5, 1), (1, "2"), (True, 1)])
def test_linear_refuses_sizes_that_are_not_positive_integers(sizes):
    with pytest.raises(
        nn.ConfigurationError, match=r"(in|out)_features must be a positive integer"
    ):
        nn.Linear(*sizes)


def test_an_input_that_does_not_fit_names_the_layer():
    model = nn.Sequential(nn.ReLU(), nn.Linear(3, 2))
    with pytest.raises(tg.ShapeError, match=r"in 1\b.*3 in_features"):
        model(normal(2, 4))


@given(batch=st.integers(0, 3), n1=SIZES, n2=SIZES, n_out=SIZES, bias=st.booleans())
def test_bilinear_is_a_form_for_each_output(batch, n1, n2, n_out, bias):
    layer = nn.Bilinear(n1, n2, n_out, bias, dtype=np.float64)
    x1, x2 = (np.random.default_rng(n).normal(size=(batch, n)) for n in (n1, n2))
    y = layer(x1, x2).data
    for n in range(batch):
        for k in range(n_out):
            form = x1[n] @ layer.weight.data[k] @ x2[n]
            assert y[n, k] == pytest.approx(form + (layer.bias.data[k] if bias else 0))


def test_bilinear_is_linear_in_each_input():
    layer, x1, x2 = nn.Bilinear(3, 4, 2, False), Tensor(normal(5, 3)), normal(5, 4)
    both = layer(2 * x1, 3 * x2).data
    np.testing.assert_allclose(both, 6 * layer(x1, x2).data, rtol=1e-5)


@pytest.mark.parametrize("shapes", [((5, 2), (5, 3)), ((5, 3), (4, 4)), ((5, 3), (5, 3))])
def test_bilinear_refuses_inputs_that_do_not_go_together(shapes):
    with pytest.raises(tg.ShapeError, match=r"Bilinear\(3, 4 -> 2\) takes x1 .* and x2"):
        nn.Bilinear(3, 4, 2)(*map(np.ones, shapes))
