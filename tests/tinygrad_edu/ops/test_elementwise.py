"""What the elementwise ops compute, and their conventions where there is no derivative."""

import math

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import Tensor, Value, gradients
from tinygrad_edu.ops.declare import NUMPY_FUNCTIONS, OPS
from tinygrad_edu.testing import gradcheck


def leaf(data, dtype=np.float64):
    return Tensor(np.array(data, dtype=dtype), requires_grad=True)


def slopes(f, *points):
    """The derivative of f by each of its arguments, for a number and for an array alike."""
    values, tensors = [Value(p) for p in points], [leaf(p) for p in points]
    by_value, by_tensor = gradients(f(*values)), gradients(f(*tensors))
    found = [by_value[x] for x in values]
    assert found == [by_tensor[x] for x in tensors]
    return found


NUMPY_UFUNCS = {f: op for f, op in NUMPY_FUNCTIONS.items() if isinstance(f, np.ufunc)}


@pytest.mark.parametrize("ufunc", [f for f in NUMPY_UFUNCS if f is not np.matmul])
@given(data=st.data())
def test_an_op_that_numpy_has_returns_the_same_bits(ufunc, data):
    drawn = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=ufunc.nin, min_side=0))
    dtype = data.draw(st.sampled_from([np.float16, np.float32, np.float64]))
    numbers = st.integers(1, 16).map(lambda n: n / 4)  # exact in every dtype, in every domain
    arrays = [data.draw(hnp.arrays(dtype, s, elements=numbers)) for s in drawn.input_shapes]
    expected = ufunc(*arrays)
    for result in (NUMPY_UFUNCS[ufunc](*map(Tensor, arrays)), ufunc(*map(Tensor, arrays))):
        np.testing.assert_array_equal(result.data, expected, strict=True)


@pytest.mark.parametrize(
    ("op", "reference"),
    [
        (tg.sigmoid, lambda x: 1 / (1 + math.exp(-x))),
        (tg.relu, lambda x: max(x, 0.0)),
        (tg.leaky_relu, lambda x: max(x, 0.01 * x)),
        (tg.silu, lambda x: x / (1 + math.exp(-x))),
        (tg.erf, math.erf),
        (tg.gelu, lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2),
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


@pytest.mark.parametrize("op", [tg.sigmoid, tg.silu, tg.tanh, tg.gelu, tg.erf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_activation_saturates_without_overflow(op, dtype):
    x = leaf([-1000.0, 1000.0], dtype)
    y = op(x)
    y.sum().backward()
    assert np.all(np.isfinite(y.data))
    # One side is flat; so is the other, or it has the slope 1.
    assert x.grad[0] == 0
    assert x.grad[1] in (0, 1)
    assert gradients(op(Value(-1000.0))).popitem()[1] == 0


@pytest.mark.parametrize(
    ("f", "point", "expected"),
    [
        (tg.relu, 0.0, 0.0),
        (abs, 0.0, 0.0),
        (lambda x: tg.leaky_relu(x, 0.1), 0.0, 0.1),  # that of the left side
        (lambda x: tg.maximum(x, 1.0), 1.0, 0.5),  # a tie shares evenly
        (lambda x: tg.minimum(x, 1.0), 1.0, 0.5),
        (lambda x: x**0, 0.0, 0.0),
        (lambda x: x**1, 0.0, 1.0),
        (lambda x: x**2, 0.0, 0.0),
        (lambda x: 0**x, 2.0, 0.0),
        (lambda x: 0**x, 0.0, 0.0),
    ],
)
def test_the_derivative_at_a_kink_is_the_stated_convention(f, point, expected):
    assert slopes(f, point) == [expected]


def test_tied_operands_share_the_gradient_and_repeated_ones_get_all_of_it():
    assert slopes(tg.maximum, 2.0, 2.0) == [0.5, 0.5]
    assert slopes(tg.minimum, 2.0, 2.0) == [0.5, 0.5]
    assert slopes(lambda x: tg.maximum(x, x), 2.0) == [1.0]


def test_zero_to_the_power_of_zero_is_one_with_no_slope():
    x, p = Value(0.0), Value(0.0)
    found = gradients(x**p)
    assert (x**p).data == 1.0
    assert (found[x], found[p]) == (0.0, 0.0)


def test_mixed_second_derivatives_of_a_power_hold_where_the_exponent_is_zero():
    # ∂/∂p of p xᵖ⁻¹ at p = 0 is 1/x, which a rule that cuts p = 0 out would miss.
    x, p = Value(2.0), Value(0.0)
    slope = gradients(x**p, create_graph=True)[x]
    assert gradients(slope)[p] == 0.5


def test_a_negative_number_has_integer_powers_and_their_slopes():
    assert slopes(lambda x: x**3, -2.0) == [12.0]
    assert slopes(lambda x: x**-1, -2.0) == [-0.25]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.longdouble])
@pytest.mark.parametrize("name", [n for n in OPS if OPS[n].on_floats and OPS[n].arity == 1])
def test_a_dtype_stays_through_forward_and_backward(name, dtype):
    x = leaf([0.5, 1.5], dtype)
    y = OPS[name](x)
    assert y.dtype == dtype
    (y * 2.5).sum().backward()
    assert x.grad.dtype == dtype if name != "sign" else x.grad is None


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_python_numbers_are_weak_and_so_are_lists_of_them(dtype):
    x = leaf([1.0, 2.0], dtype)
    for y in (x * 2, 2.5 - x, x**2, 1 / x, True + x, tg.where(x > 1, x, 0.0), x * [3, 0.1]):
        assert y.dtype == dtype


def test_a_list_has_the_precision_of_the_tensor_it_meets():
    assert (leaf([1.0]) * [0.1]).data[0] == 0.1
    assert ([0.1] - leaf([0.0])).data[0] == 0.1


def test_numpy_scalars_and_arrays_are_strong():
    x = leaf([1.0], np.float32)
    assert (x * np.float64(2)).dtype == np.float64
    assert (np.array([2.0]) * x).dtype == np.float64


def test_integers_are_computed_with_as_numbers():
    labels = Tensor(np.array([1, 2]))
    assert tg.erf(labels).data.tolist() == [math.erf(1), math.erf(2)]
    small = Tensor(np.array([3], dtype=np.uint8))
    assert tg.sigmoid(small).data[0] == pytest.approx(1 / (1 + math.exp(-3)))


def test_the_condition_of_where_is_a_constant():
    condition, a = leaf([1.0, 0.0]), leaf([5.0, 6.0])
    y = tg.where(condition, a, -1.0)
    assert y.data.tolist() == [5, -1]
    y.sum().backward()
    assert condition.grad is None
    assert a.grad.tolist() == [1, 0]


def test_sign_is_in_the_graph_and_no_gradient_flows_through_it():
    x, lost = leaf([2.0]), leaf([3.0])
    (tg.sign(x) * x * tg.sign(lost)).sum().backward()
    assert x.grad == 1
    assert lost.grad is None
    assert tg.sign(lost).op is OPS["sign"]


def test_nan_wins_in_maximum_and_minimum_as_in_numpy():
    for op in (tg.maximum, tg.minimum):
        assert math.isnan(op(math.nan, 1.0))
        assert math.isnan(op(1.0, math.nan))
        assert math.isnan(op(Value(1.0), math.nan).data)


def test_a_constant_on_the_left_has_second_derivatives_on_the_right():
    bound = np.array([0.0, 3.0])
    gradcheck(lambda x: tg.maximum(bound, x) ** 3, np.array([1.0, 2.0]), order=2)
    gradcheck(lambda x: bound**x, np.array([1.0, 2.0]), order=2)
