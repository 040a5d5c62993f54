"""What the activations compute, and their derivatives at kinks and far from 0."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import Tensor, UnknownNameError, Value, gradients
from tinygrad_edu.ops import activation
from tinygrad_edu.ops.activation import (
    elu,
    hardswish,
    hardtanh,
    mish,
    relu6,
    selu,
    softplus,
    softsign,
)


def leaf(data, dtype=np.float64):
    return Tensor(np.array(data, dtype=dtype), requires_grad=True)


@pytest.mark.parametrize(
    ("op", "reference"),
    [
        (tg.sigmoid, lambda x: 1 / (1 + math.exp(-x))),
        (tg.relu, lambda x: max(x, 0.0)),
        (tg.leaky_relu, lambda x: max(x, 0.01 * x)),
        (tg.silu, lambda x: x / (1 + math.exp(-x))),
        (tg.gelu, lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2),
        (softplus, lambda x: math.log1p(math.exp(x))),
        (mish, lambda x: x * math.tanh(math.log1p(math.exp(x)))),
        (softsign, lambda x: x / (1 + abs(x))),
        (elu, lambda x: x if x > 0 else math.expm1(x)),
        (hardtanh, lambda x: min(max(x, -1.0), 1.0)),
        (relu6, lambda x: min(max(x, 0.0), 6.0)),
        (hardswish, lambda x: x * min(max(x + 3, 0.0), 6.0) / 6),
    ],
)
@given(x=st.floats(-30, 30))
def test_an_activation_is_its_formula_on_numbers_and_arrays(op, reference, x):
    expected = pytest.approx(reference(x), rel=1e-14, abs=1e-300)
    assert op(x) == expected
    assert op(Value(x)).data == expected
    assert op(Tensor(np.array([x]))).data == expected


def test_the_tanh_approximation_of_gelu_is_within_its_published_error():
    # Hendrycks and Gimpel, 2016: the two curves differ by less than 0.001 everywhere.
    x = np.linspace(-6, 6, 101)
    difference = np.abs(tg.gelu(x) - tg.gelu(x, approximate="tanh"))
    assert 0 < difference.max() < 1e-3


def gelu_by_tanh(x):
    return tg.gelu(x, "tanh")


@pytest.mark.parametrize(
    "op",
    [tg.sigmoid, tg.silu, tg.tanh, tg.gelu, gelu_by_tanh, tg.erf, softplus, mish, elu],
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_an_activation_saturates_without_overflow(op, dtype):
    x = leaf([-1000.0, 1000.0], dtype)
    y = op(x)
    y.sum().backward()
    assert np.all(np.isfinite(y.data))
    # One side is flat; so is the other, or it has the slope 1.
    assert x.grad[0] == 0
    assert x.grad[1] in (0, 1)
    assert gradients(op(Value(-1000.0))).popitem()[1] == 0


def test_softsign_does_not_overflow_in_half_precision():
    x = leaf([-1000.0, 1000.0], np.float16)
    softsign(x).sum().backward()
    np.testing.assert_allclose(x.grad, 1e-6, rtol=0.1)


@pytest.mark.parametrize(
    ("f", "point", "expected"),
    [
        (tg.relu, 0.0, 0.0),
        (lambda x: tg.leaky_relu(x, 0.1), 0.0, 0.1),  # that of the left side
        (lambda x: elu(x, 0.5), 0.0, 0.5),
        (hardtanh, -1.0, 0.0),  # that of the outer side
        (hardtanh, 1.0, 0.0),
        (relu6, 0.0, 0.0),
        (relu6, 6.0, 0.0),
        (hardswish, -3.0, 0.0),
        (hardswish, 3.0, 1.0),
    ],
)
def test_the_derivative_at_a_kink_is_the_stated_convention(f, point, expected):
    value, tensor = Value(point), leaf(point)
    assert gradients(f(value))[value] == expected
    assert gradients(f(tensor))[tensor] == expected


def test_selu_keeps_the_mean_and_variance_of_standard_normal_numbers():
    # Klambauer et al., 2017: (0, 1) is a fixed point. Gauss and Hermite's rule on both sides of the
    # kink would need many nodes; a fine sum over the density does as well.
    x = np.linspace(-12, 12, 240_001)
    density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi) * (x[1] - x[0])
    y = selu(x)
    assert y @ density == pytest.approx(0, abs=1e-8)
    assert (y * y) @ density == pytest.approx(1, abs=1e-8)


def test_second_derivatives_are_finite_far_from_zero():
    for op in (tg.sigmoid, tg.silu, tg.gelu, softplus, mish, softsign, elu, selu):
        x = leaf([-1000.0, 1000.0])
        slope = gradients(op(x).sum(), create_graph=True)[x]
        np.testing.assert_allclose(gradients(slope.sum())[x], 0, atol=1e-8)


def test_options_are_taken_by_name_and_by_position():
    x = leaf([-2.0, 0.5, 3.0])
    assert hardtanh(x, -1.0, 2.0).data.tolist() == [-1, 0.5, 2]
    assert hardtanh(x, max_val=0.25).data.tolist() == [-1, 0.25, 0.25]
    assert elu(x, alpha=0.0).data.tolist() == [0, 0.5, 3]


def test_an_unknown_approximation_of_gelu_is_named_with_the_known_ones():
    with pytest.raises(UnknownNameError, match="Known: none, tanh"):
        tg.gelu(leaf([1.0]), approximate="sigmoid")


def test_integers_are_computed_with_as_numbers():
    small = Tensor(np.array([3], dtype=np.uint8))
    assert tg.sigmoid(small).data[0] == pytest.approx(1 / (1 + math.exp(-3)))
    for op in (activation.softplus, activation.elu, activation.softsign, activation.hardswish):
        assert op(Tensor(np.array([-2, 2]))).data == pytest.approx([op(-2.0), op(2.0)])
