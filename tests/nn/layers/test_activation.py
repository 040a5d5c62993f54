"""Activations: modules are the functions of their names, for Tensors and for Values."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import nn
import tinygrad_edu as tg
from nn.layers.activation import activation_module
from tinygrad_edu import Tensor, Value, gradients, jacobian
from tinygrad_edu.testing import gradcheck

REAL = st.floats(-8, 8)
NAMES = sorted(nn.ACTIVATIONS)

# Those that the engine has no function of its own for, or that take options here.
FORMULAS = {
    "Softplus": ({"beta": 2.0}, lambda x, beta: math.log1p(math.exp(beta * x)) / beta),
    "LogSigmoid": ({}, lambda x: -math.log1p(math.exp(-x))),
    "CELU": ({"alpha": 0.5}, lambda x, alpha: x if x > 0 else alpha * math.expm1(x / alpha)),
    "ELU": ({"alpha": 0.5}, lambda x, alpha: x if x > 0 else alpha * math.expm1(x)),
    "LeakyReLU": ({"negative_slope": 0.3}, lambda x, negative_slope: max(x, negative_slope * x)),
    "Hardtanh": ({"min_val": -2.0, "max_val": 0.5}, lambda x, **_: min(max(x, -2.0), 0.5)),
    "Hardsigmoid": ({}, lambda x: min(max(x / 6 + 0.5, 0), 1)),
    "Tanhshrink": ({}, lambda x: x - math.tanh(x)),
    "Softshrink": ({"lambd": 0.7}, lambda x, lambd: math.copysign(max(abs(x) - lambd, 0), x)),
    "Hardshrink": ({"lambd": 0.7}, lambda x, lambd: x if abs(x) > lambd else 0),
    "Threshold": ({"threshold": 1.0, "value": -3.0}, lambda x, **_: x if x > 1 else -3),
}


@pytest.mark.parametrize("name", sorted(FORMULAS))
@given(x=REAL)
def test_an_activation_is_its_formula(name, x):
    options, formula = FORMULAS[name]
    module, expected = getattr(nn, name)(**options), formula(x, **options)
    assert module(Tensor(np.array([x]))).item() == pytest.approx(expected, rel=1e-13, abs=1e-15)
    assert module(Value(x)).data == pytest.approx(expected, rel=1e-13, abs=1e-15)


@pytest.mark.parametrize("name", NAMES)
@given(x=hnp.arrays(np.float64, (2, 3), elements=REAL))
def test_an_activation_module_applies_the_function_of_its_name(name, x):
    y = activation_module(name)(Tensor(x))
    np.testing.assert_array_equal(y.data, nn.ACTIVATIONS[name](Tensor(x)).data)
    if hasattr(tg, name) and name != "linear":  # which is the identity here
        np.testing.assert_array_equal(y.data, getattr(tg, name)(x))


@pytest.mark.parametrize("name", NAMES)
@given(x=REAL)
def test_an_activation_of_a_value_is_that_of_a_tensor_and_so_is_its_slope(name, x):
    value, tensor = Value(x), Tensor(np.array(x), requires_grad=True)
    y, expected = nn.ACTIVATIONS[name](value), nn.ACTIVATIONS[name](tensor)
    # math.tanh and np.tanh may differ in the last bit.
    assert y.data == pytest.approx(expected.item(), rel=1e-14, abs=1e-15)
    slope = gradients(expected)[tensor].item()
    assert gradients(y)[value] == pytest.approx(slope, rel=1e-14, abs=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_an_activation_has_first_and_second_derivatives(name):
    gradcheck(nn.ACTIVATIONS[name], np.random.default_rng(0).normal(size=(3, 4)), order=2)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_an_activation_keeps_its_dtype_and_stays_finite_far_out(name, dtype):
    x = Tensor(np.array([-100, -1, 0, 1, 100], dtype), requires_grad=True)
    y = nn.ACTIVATIONS[name](x)
    y.sum().backward()
    assert y.dtype == x.grad.dtype == dtype
    assert np.all(np.isfinite(y.data))
    assert np.all(np.isfinite(x.grad))


@pytest.mark.parametrize(
    ("module", "point", "slope"),
    [
        (nn.Hardsigmoid(), 3.0, 0),
        (nn.Hardsigmoid(), -3.0, 0),
        (nn.Softshrink(), 0.5, 0),
        (nn.Softshrink(), -0.5, 0),
        (nn.Hardshrink(), 0.5, 0),
        (nn.Threshold(1.0, 2.0), 1.0, 0),
        (nn.CELU(0.5), 0.0, 1),
    ],
)
def test_the_slope_at_a_kink_is_pytorchs(module, point, slope):
    x = Tensor(np.array(point), requires_grad=True)
    assert gradients(module(x))[x] == slope


@given(hnp.arrays(np.float64, 4, elements=REAL))
def test_the_jacobian_of_softmax_is_that_of_its_definition(x):
    p = np.exp(x) / np.exp(x).sum()
    by_hand = np.diag(p) - np.outer(p, p)  # ∂p[i]/∂x[j] = p[i] (δ[i, j] - p[j])
    np.testing.assert_allclose(jacobian(nn.Softmax())(x), by_hand, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(jacobian(nn.LogSoftmax())(x), np.eye(4) - p, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_softmax_sums_to_one_along_its_axis(dim):
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    np.testing.assert_allclose(nn.Softmax(dim)(x).sum(dim), 1, rtol=1e-14)
    np.testing.assert_array_equal(nn.Softmin(dim)(x), nn.Softmax(dim)(-x))
    np.testing.assert_allclose(np.exp(nn.LogSoftmax(dim)(x)), nn.Softmax(dim)(x), rtol=1e-14)


def test_a_gated_linear_unit_opens_one_half_by_the_other():
    x = np.random.default_rng(0).normal(size=(4, 3))
    expected = x[:2] / (1 + np.exp(-x[2:]))
    np.testing.assert_allclose(nn.GLU(0)(x), expected, rtol=1e-14)
    gradcheck(nn.GLU(0), x, order=2)
    with pytest.raises(tg.ShapeError, match=r"axis -1 of x \(4, 3\), whose length must be even"):
        nn.GLU()(x)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 3, 4, 1)])
def test_prelu_has_a_slope_for_each_channel(shape):
    module = nn.PReLU(3, dtype=np.float64)
    slopes = np.array([0.5, -1.0, 2.0])
    module.load_state_dict({"weight": slopes})
    x = np.random.default_rng(0).normal(size=shape)
    expected = np.where(x > 0, x, x * slopes.reshape(3, *(1,) * (len(shape) - 2)))
    np.testing.assert_array_equal(module(x).data, expected)
    gradcheck(nn.functional.prelu, x, slopes, order=2)


def test_prelu_starts_as_a_leaky_relu_and_refuses_other_channels():
    x = np.linspace(-1, 1, 5, dtype=np.float32)
    np.testing.assert_array_equal(nn.PReLU()(x).data, nn.LeakyReLU(0.25)(x))
    with pytest.raises(tg.ShapeError, match=r"weight \(1,\) or, for x \(2, 4\), \(4,\), not .*3"):
        nn.PReLU(3)(np.ones((2, 4)))
    with pytest.raises(nn.ConfigurationError, match="num_parameters must be a positive integer"):
        nn.PReLU(0)


def test_a_printout_shows_the_options():
    assert repr(nn.ELU()) == "ELU(alpha=1.0)"
    assert repr(nn.Hardtanh(-2, max_val=3)) == "Hardtanh(min_val=-2, max_val=3)"
    assert repr(nn.ReLU()) == "ReLU()"
    assert repr(nn.NLLLoss([1.0, 2.0])) == (
        "NLLLoss(weight=<2>, ignore_index=-100, reduction='mean')"
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Softplus(0), "beta, which is above 0"),
        (lambda: nn.CELU(0), "alpha, which cannot be 0"),
        (lambda: nn.Softshrink(-1), "lambd of at least 0"),
        (lambda: nn.Hardtanh(1, -1), "min_val must be less than its max_val, not 1 and -1"),
        (lambda: nn.GELU("tan"), "'tan'.*'tanh'.*none, tanh"),
    ],
)
def test_options_that_make_no_sense_are_found_when_the_module_is_made(make, message):
    with pytest.raises((nn.ConfigurationError, tg.UnknownNameError), match=message):
        make()


def test_an_unknown_activation_is_named_with_the_nearest():
    with pytest.raises(tg.UnknownNameError, match=r"'hardswitch'.*Did you mean 'hardswish'"):
        nn.Linear(2, 2, nonlinearity="hardswitch")
