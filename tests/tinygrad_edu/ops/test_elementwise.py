"""What the elementwise ops compute, and their conventions where there is no derivative.

Their derivatives elsewhere are compared with finite differences in ``test_rules``.
"""

import math

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import OperandError, ShapeError, Tensor, Value, gradients
from tinygrad_edu.ops import elementwise
from tinygrad_edu.ops.declare import NUMPY_FUNCTIONS, OPS, Op
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


OF_ONE_NUMBER = [name for name, op in OPS.items() if op.on_floats and op.arity == 1]
OF_TWO_NUMBERS = [name for name, op in OPS.items() if op.on_floats and op.arity == 2]
UFUNCS = {
    f: op
    for f, op in NUMPY_FUNCTIONS.items()
    if isinstance(f, np.ufunc) and isinstance(op, Op) and f.signature is None
}
ANY_NUMBER = st.floats(width=16)  # exact in every dtype; nan, infinities and -0.0 among them


@pytest.mark.parametrize("ufunc", UFUNCS)
@given(data=st.data())
@settings(max_examples=10)
def test_an_op_that_numpy_has_returns_the_same_bits(ufunc, data):
    drawn = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=ufunc.nin, min_side=0))
    dtype = data.draw(st.sampled_from([np.float16, np.float32, np.float64]))
    arrays = [data.draw(hnp.arrays(dtype, s, elements=ANY_NUMBER)) for s in drawn.input_shapes]
    with np.errstate(all="ignore"):
        expected = ufunc(*arrays)
        for result in (UFUNCS[ufunc](*map(Tensor, arrays)), ufunc(*map(Tensor, arrays))):
            np.testing.assert_array_equal(result.data, expected, strict=True)


CHOICES = st.sampled_from([0.0, -0.0, 1, math.inf, math.nan])


@given(
    st.sampled_from([np.float16, np.float32, np.float64]),
    st.tuples(st.booleans(), st.booleans()),
    st.tuples(CHOICES, CHOICES),
    st.integers(0, 2**32),
)
def test_select_chooses_the_same_bits_as_where_from_large_arrays_and_numbers(
    dtype, arrays, numbers, seed
):
    rng = np.random.default_rng(seed)
    condition = rng.random((70, 60)) < 0.5
    special = np.array([0.0, -0.0, 1.5, math.inf, -math.inf, math.nan, 6e-8], dtype)
    a, b = (
        rng.choice(special, (60, 70)).T if is_array else number
        for is_array, number in zip(arrays, numbers, strict=True)
    )
    assert condition.size >= elementwise._LARGE
    found, expected = (f(condition, a, b) for f in (elementwise.select, np.where))
    assert found.dtype == expected.dtype
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("condition", "a", "b"),
    [
        (np.ones((1, 5000), bool), np.ones((3, 5000)), 2.0),  # broadcasts
        (np.ones(5000, bool), np.ones(5000), np.ones(5000, np.float32)),
        (np.ones(5000, bool), np.ones(5000, np.float32), np.float64(2)),  # which is not weak
        (np.ones(5000, int), np.ones(5000), 0.0),  # any number is true or false
        (np.ones(5000, bool), np.ones(5000, int), 0),
        (np.zeros(5000, bool), np.ones(5000, np.longdouble), 0.0),
        (np.zeros(5000, bool), 1.0, 2.0),
    ],
)
def test_select_leaves_to_where_what_is_not_of_one_kind(condition, a, b):
    found, expected = (f(condition, a, b) for f in (elementwise.select, np.where))
    np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize(
    "f",
    [
        np.sinc,
        np.fix,
        np.round,
        lambda x: np.around(x, decimals=1),
        lambda x: np.round(x, -1),
        np.nan_to_num,
        lambda x: np.nan_to_num(x, nan=1.0, posinf=2.0, neginf=-3.0),
        lambda x: np.clip(x, -1, 2),
        lambda x: np.clip(x, None, 0.5),
        lambda x: np.clip(x, a_min=2, a_max=-2),
        lambda x: np.where(np.isfinite(x), x, 0.0),
        lambda x: np.divmod(x, 3)[0],
        lambda x: np.divmod(x, 3)[1],
    ],
)
@given(data=st.data())
def test_a_numpy_function_with_options_returns_the_same_bits(f, data):
    dtype = data.draw(st.sampled_from([np.float16, np.float32, np.float64]))
    x = data.draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0), elements=ANY_NUMBER))
    with np.errstate(all="ignore"):
        y, expected = f(Tensor(x, requires_grad=True)), np.asarray(f(x))
    assert y.requires_grad
    np.testing.assert_array_equal(y.data, expected, strict=True)


@pytest.mark.parametrize("ufunc", UFUNCS)
def test_a_numpy_function_records_a_graph(ufunc):
    with np.errstate(invalid="ignore"):  # 0.5 has no inverse hyperbolic cosine
        y = ufunc(*[leaf([0.5]) for _ in range(ufunc.nin)])
    assert y.requires_grad
    assert y.op is UFUNCS[ufunc]


def test_the_names_that_numpy_has_for_the_same_function_are_all_known():
    x = leaf([0.5])
    for alias, op in [
        (np.absolute, "abs"),
        (np.fabs, "abs"),
        (np.true_divide, "divide"),
        (np.remainder, "mod"),
        (np.rint, "round"),
        (np.radians, "deg2rad"),
        (np.degrees, "rad2deg"),
    ]:
        assert alias(*[x] * alias.nin).op is OPS[op]


@pytest.mark.parametrize("name", OF_ONE_NUMBER + OF_TWO_NUMBERS)
@given(data=st.data())
@settings(max_examples=10)
def test_a_number_and_an_array_have_the_same_result_and_derivatives(name, data):
    op = OPS[name]
    points = [data.draw(st.floats(-4, 4)) for _ in range(op.arity)]
    values, tensors = [Value(p) for p in points], [leaf(p) for p in points]
    with np.errstate(all="ignore"):
        by_value, by_tensor = op(*values), op(*tensors)
        found, expected = gradients(by_value), gradients(by_tensor)
    assert type(by_value.data) is float
    # NumPy's functions and those of the C library differ in the last bits.
    close = {"rel": 1e-9, "abs": 1e-12, "nan_ok": True}
    assert by_value.data == pytest.approx(float(by_tensor.data), **close)
    for x, t in zip(values, tensors, strict=True):
        assert (x in found) == (t in expected)
        assert found.get(x, 0.0) == pytest.approx(float(expected.get(t, 0.0)), **close)


@pytest.mark.parametrize(
    ("f", "point", "expected"),
    [
        (abs, 0.0, 0.0),
        (lambda x: elementwise.mod(x, 2), 4.0, 1.0),  # that of either side
        (lambda x: elementwise.fmod(x, 2), 4.0, 1.0),
        (lambda x: elementwise.hypot(x, 0.0), 0.0, 0.0),
        (lambda x: elementwise.arctan2(x, 0.0), 0.0, 0.0),
        (lambda x: elementwise.clip(x, 0, 1), 0.0, 1.0),  # the bounds are inside
        (lambda x: elementwise.clip(x, 0, 1), 1.0, 1.0),
        (lambda x: elementwise.fmax(x, 1.0), 1.0, 0.5),  # a tie shares evenly
        (lambda x: elementwise.fmin(x, 1.0), 1.0, 0.5),
        (lambda x: tg.maximum(x, 1.0), 1.0, 0.5),
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
@pytest.mark.parametrize("name", sorted({*OF_ONE_NUMBER, *OF_TWO_NUMBERS} - {"float_power"}))
def test_a_dtype_stays_through_forward_and_backward(name, dtype):
    op = OPS[name]
    inputs = [leaf([0.5, 1.5], dtype) for _ in range(op.arity)]
    with np.errstate(invalid="ignore"):  # 1.5 has no arcsine
        y = op(*inputs)
        assert y.dtype == dtype
        (y * 2.5).sum().backward()
    for x, rule in zip(inputs, op.rules, strict=True):
        assert x.grad.dtype == dtype if rule is not None else x.grad is None


def test_a_float_power_is_in_float64_and_its_gradient_in_the_dtype_of_the_base():
    x = leaf([2.0, 3.0], np.float32)
    y = np.float_power(x, 2)
    y.sum().backward()
    assert (y.dtype, x.grad.dtype, x.grad.tolist()) == (np.float64, np.float32, [4, 6])


def test_the_parts_of_a_complex_number_are_those_of_a_real_one():
    x = leaf([2.0, -3.0])
    for function in (np.real, np.conj, np.real_if_close):
        assert function(x).tolist() == [2, -3]
        assert function(x).requires_grad


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
    counts = Tensor(np.array([1, 7]))
    assert tg.erf(counts).data.tolist() == pytest.approx([math.erf(1), math.erf(7)], rel=1e-15)
    assert elementwise.mod(counts, 4).data.tolist() == [1, 3]
    for y in (elementwise.floor_divide(counts, 2), elementwise.clip(counts, None, 5)):
        assert y.dtype == counts.dtype


def test_python_integers_are_operands():
    assert elementwise.floor_divide(7, Value(2)).data == 3.0
    assert elementwise.mod(-7, leaf(4.0)).data == 1.0
    assert elementwise.arctan2(Value(0), -1).data == math.pi
    assert elementwise.square(3) == 9


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


def test_python_errors_are_ieee_results_on_values():
    zero = Value(0.0)
    with np.errstate(all="ignore"):
        assert elementwise.floor_divide(1.0, zero).data == math.inf
        assert math.isnan(elementwise.mod(1.0, zero).data)
        assert elementwise.reciprocal(zero).data == math.inf
        assert elementwise.log1p(Value(-1.0)).data == -math.inf
        assert elementwise.cosh(Value(1000.0)).data == math.inf
        assert math.isnan(elementwise.arccosh(zero).data)
        assert math.isnan(elementwise.sin(Value(math.inf)).data)


@pytest.mark.parametrize("root", [tg.sqrt, elementwise.cbrt])
def test_the_slope_of_a_root_at_zero_is_infinite(root):
    with np.errstate(divide="ignore"):
        assert slopes(root, 0.0) == [math.inf]


@pytest.mark.parametrize("scale", [1e-200, 1e-3, 1e200])
def test_lengths_and_angles_neither_overflow_nor_vanish(scale):
    # The triangle 3, 4, 5.
    assert slopes(elementwise.hypot, 3 * scale, 4 * scale) == pytest.approx([0.6, 0.8])
    expected = [0.16 / scale, -0.12 / scale]  # (b, -a) / (a² + b²)
    assert slopes(elementwise.arctan2, 3 * scale, 4 * scale) == pytest.approx(expected)


def test_at_the_origin_a_length_and_an_angle_have_no_slope():
    assert slopes(elementwise.hypot, 0.0, 0.0) == [0.0, 0.0]
    assert slopes(elementwise.arctan2, 0.0, 0.0) == [0.0, 0.0]


def test_derivatives_keep_their_digits_where_the_textbook_formula_loses_them():
    tiny = 2.0**-40
    for f, point, expected in [
        (elementwise.expm1, -50.0, math.exp(-50.0)),
        (elementwise.arcsin, 1 - tiny, 1 / math.sqrt(tiny * (2 - tiny))),
        (elementwise.arccosh, 1 + tiny, 1 / math.sqrt(tiny * (2 + tiny))),
        (elementwise.arccosh, 1e200, 1e-200),
        (elementwise.arcsinh, 1e200, 1e-200),
        (elementwise.arctanh, 1 - tiny, 1 / (tiny * (2 - tiny))),
    ]:
        by_value = gradients(f(x := Value(point)))[x]
        by_tensor = gradients(f(t := leaf(point)))[t]
        assert [by_value, by_tensor] == pytest.approx([expected, expected], rel=1e-14)


@pytest.mark.parametrize("op", [elementwise.logaddexp, elementwise.logaddexp2])
def test_a_sum_of_exponentials_has_the_shares_as_slopes_however_large(op):
    for offset in (-1e4, 0.0, 1e4):
        assert slopes(op, offset, offset) == pytest.approx([0.5, 0.5])
    assert slopes(op, -math.inf, 1.0) == [0.0, 1.0]


@pytest.mark.parametrize("order", range(7))
@given(x=st.floats(-4, 4) | st.floats(-1e-3, 1e-3))
def test_every_derivative_of_sinc_is_right_at_zero_and_elsewhere(order, x):
    # sinc x = ∫₀¹ cos(πxt) dt, differentiated under the integral; Gauss's rule is exact enough.
    nodes, weights = np.polynomial.legendre.leggauss(40)
    t = (nodes + 1) / 2
    integrand = (math.pi * t) ** order * np.cos(math.pi * (x * t + order / 2))
    expected = pytest.approx(weights @ integrand / 2, abs=1e-14 * (2 * math.pi) ** order)
    assert float(elementwise.sinc_derivative(x, order)) == expected
    assert float(elementwise.sinc_derivative(np.array([x]), order)[0]) == expected


def test_sinc_has_its_derivatives_at_zero_and_at_the_integers():
    x = leaf([0.0, 1e-6, 1.0, 2.0, -3.0])
    first = gradients(elementwise.sinc(x).sum(), create_graph=True)[x]
    second = gradients(first.sum())[x]
    # -π²x/3 near 0; cos(πn)/n and -2 cos(πn)/n² at the integers
    third = math.pi**2 / 3
    np.testing.assert_allclose(first.data, [0, -third * 1e-6, -1, 1 / 2, 1 / 3], rtol=1e-11)
    np.testing.assert_allclose(second, [-third, -third, 2, -1 / 2, 2 / 9], rtol=1e-11)


def test_a_number_wins_over_nan_in_fmax_and_fmin_and_gets_the_gradient():
    for op in (elementwise.fmax, elementwise.fmin):
        assert op(Value(math.nan), 1.0).data == 1.0
        assert slopes(op, math.nan, 1.0) == [0.0, 1.0]
        assert slopes(op, 2.0, math.nan) == [1.0, 0.0]


@pytest.mark.parametrize(
    ("a", "lo", "hi", "expected"),
    [
        (0.5, 0.0, 1.0, [1, 0, 0]),
        (-2.0, 0.0, 1.0, [0, 1, 0]),
        (2.0, 0.0, 1.0, [0, 0, 1]),
        (0.0, 0.0, 1.0, [1, 0, 0]),  # on a bound a gets it all
        (1.0, 1.0, 1.0, [1, 0, 0]),
        (-2.0, 1.0, 1.0, [0, 1, 0]),
        (0.5, 1.0, 0.0, [0, 0, 1]),  # contradictory bounds: the upper one wins, as in NumPy
    ],
)
def test_clip_passes_the_whole_gradient_to_what_it_returns(a, lo, hi, expected):
    assert elementwise.clip(a, lo, hi) == np.clip(a, lo, hi)
    assert slopes(elementwise.clip, a, lo, hi) == expected


def test_clip_takes_either_bound_or_none_by_either_name():
    for x in (Value(3.0), leaf(3.0)):
        assert elementwise.clip(x, None, 1.0).data == 1.0
        assert elementwise.clip(x, 5).data == 5.0
        assert elementwise.clip(x, max=1.0).data == 1.0
        assert elementwise.clip(x, a_min=4, max=6).data == 4.0
        assert elementwise.clip(x).data == 3.0
    with pytest.raises(OperandError, match="once"):
        elementwise.clip(leaf(1.0), 0.0, min=0.0)


def test_clip_of_shapes_that_do_not_broadcast_says_so():
    with pytest.raises(ShapeError, match=r"clip cannot take shape \(2,\) and shape \(3,\)"):
        np.clip(leaf([1.0, 2.0]), np.zeros(3), 1.0)


def test_a_remainder_is_what_division_leaves():
    a, b = leaf([7.5, -7.5, 7.5]), leaf([2.0, 2.0, -2.0])
    quotient, remainder = elementwise.divmod(a, b)
    assert (quotient * b + remainder).data.tolist() == a.data.tolist()
    remainder.sum().backward()
    assert a.grad.tolist() == [1, 1, 1]
    assert b.grad.tolist() == (-quotient).data.tolist()


@pytest.mark.parametrize("name", ["floor", "ceil", "trunc", "round", "floor_divide"])
def test_no_gradient_flows_through_a_step(name):
    op = OPS[name]
    x = leaf([1.25])
    inputs = [x] * op.arity
    (op(*inputs) * x).sum().backward()
    assert x.grad == op(*[1.25] * op.arity)  # only that of the other factor


def test_nan_to_num_stops_gradients_where_it_replaces():
    x = leaf([math.nan, math.inf, -math.inf, 2.0])
    y = elementwise.nan_to_num(x, nan=-1.0, posinf=9.0, neginf=-9.0)
    assert y.data.tolist() == [-1, 9, -9, 2]
    y.sum().backward()
    assert x.grad.tolist() == [0, 0, 0, 1]
    assert elementwise.nan_to_num(Value(math.nan)).data == 0.0


def test_nan_to_num_does_not_work_in_place():
    x = leaf([math.nan])
    with pytest.raises(OperandError, match="copy=True"):
        np.nan_to_num(x, copy=False)
    assert math.isnan(x.data[0])


def test_questions_have_plain_answers():
    x = leaf([1.0, math.nan, math.inf])
    for ask, expected in [
        (np.isnan, [False, True, False]),
        (np.isinf, [False, False, True]),
        (np.isfinite, [True, False, False]),
    ]:
        answers = ask(x)
        assert type(answers) is np.ndarray
        assert answers.tolist() == expected
    assert elementwise.isnan(Value(math.nan)) is True
    assert elementwise.isfinite(2.0) is True
    assert elementwise.isinf(leaf(2.0)) is False
