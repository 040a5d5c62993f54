"""The gradient check itself: what it accepts, what it catches, what it leaves alone."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg
import viz
from tinygrad_edu import (
    DTypeError,
    GradientError,
    GradientMismatchError,
    OperandError,
    Tensor,
    Value,
    no_grad,
)
from tinygrad_edu.graph import plain
from tinygrad_edu.testing import KinkWarning, gradcheck


def detached_square(x):
    """x², whose gradient is x here, as if one factor were a constant."""
    return x * x.detach()


def test_inputs_may_be_numbers_arrays_values_and_tensors():
    gradcheck(lambda x, p: x**p, np.array([1.0, 2.0]), 2.5, order=2)
    gradcheck(lambda a, b: (a * b).tanh(), Value(0.5), Value(-1.0), order=2)
    gradcheck(lambda t: t.exp(), Tensor(np.eye(2), requires_grad=True), order=2)


def test_a_wrong_gradient_is_shown_as_a_table():
    x = Tensor(np.array([[1.0, 0.0], [3.0, -2.0]]), requires_grad=True, label="weight")
    with pytest.raises(GradientMismatchError) as caught:
        gradcheck(lambda x: detached_square(x).sum(), x)
    title, heading, *rows = str(caught.value).splitlines()
    assert title == "the gradient differs from finite differences at 3 of 4 entries:"
    assert heading.split() == ["input", "index", "analytic", "numeric", "its", "error", "ratio"]
    found = {tuple(row.split()[:4]): [float(x) for x in row.split()[4:]] for row in rows[:3]}
    assert found["0", "weight", "(1,", "0)"][:2] == pytest.approx([3, 6])
    assert found["0", "weight", "(1,", "1)"][:2] == pytest.approx([-2, -4])
    assert [row[3] for row in found.values()] == [0.5, 0.5, 0.5]


def test_a_long_table_is_cut_short():
    with pytest.raises(GradientMismatchError, match=r"(?s)at 40 of 40 .*\.\.\. and 30 more\n"):
        gradcheck(detached_square, np.ones(40))


def test_a_mismatch_is_an_assertion_error_to_test_runners():
    with pytest.raises(AssertionError):
        gradcheck(detached_square, 1.0)


def test_an_input_that_the_gradient_does_not_reach_counts_as_zero():
    gradcheck(lambda x, y: x * 2, 1.0, np.ones(3), order=2)
    gradcheck(lambda x: tg.sign(x), 1.0, order=2)
    with pytest.raises(GradientMismatchError, match=r"0 +\(\) +0 +4"):
        gradcheck(lambda x: x.detach() * x.detach(), 2.0)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e8])
def test_no_size_of_function_hides_a_gradient_that_is_wrong_by_a_thousandth(scale):
    almost = tg.elementwise(
        "almost", "~", lambda x: x, lambda x: scale * np.exp(x), lambda g, y, x: g * y * 1.001
    )
    gradcheck(lambda x: scale * x.exp(), 0.5)
    with pytest.raises(GradientMismatchError):
        gradcheck(almost, Tensor(np.array(0.5), requires_grad=True), atol=1e-8 * scale)


def test_truncation_does_not_limit_it():
    # A plain central difference with h = 1e-3 is wrong by 1e-5 here: h²/6 · 4³.
    gradcheck(lambda x: tg.exp(4 * x), 0.5, rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    ("f", "slopes"),
    [(tg.relu, r"0 \| 1"), (abs, r"-1 \| 1"), (lambda x: x + (x > 0), r"1 \| inf")],
)
def test_a_kink_and_a_jump_are_told_apart_from_a_wrong_gradient(f, slopes):
    with pytest.warns(KinkWarning, match=rf"1 of the points .* slopes {slopes}"):
        report = gradcheck(f, 0.0)
    assert report.kinks == 1


def test_a_gradient_outside_of_the_slopes_at_a_kink_is_wrong():
    steep = tg.elementwise(
        "steep", "^", lambda x: max(x, 0.0), lambda x: np.maximum(x, 0), lambda g, y, x: 2 * g
    )
    with pytest.raises(GradientMismatchError, match=r"2 +0 \| 1"):
        gradcheck(steep, 0.0)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_pole_does_not_pass():
    with pytest.raises(GradientMismatchError):
        gradcheck(lambda x: tg.where(x > 0, x.log(), 5.0), 0.0)


@given(st.floats(1e-6, 1e-3))
def test_a_kink_nearby_does_not_disturb(distance):
    gradcheck(lambda x: x.relu(), distance)


def test_inputs_and_results_may_be_nested():
    def f(parameters, x):
        return {"y": x @ parameters["w"], "more": [parameters["b"] ** 2]}

    gradcheck(f, {"w": np.eye(2), "b": 3.0}, np.ones((1, 2)), order=2)
    with pytest.raises(GradientMismatchError, match=r"(?m)^0\.w\.1 +\(\) +1 +2 "):
        gradcheck(lambda p: p["w"][1].detach() * p["w"][1], {"w": [2.0, 1.0]})
    with pytest.raises(OperandError, match="not some of both"):
        gradcheck(lambda a, b: [a, b], Value(1.0), 2.0)


def test_the_op_with_the_wrong_rule_is_named_and_can_be_drawn():
    wrong = tg.elementwise("wrong", "w", lambda x: x**3, lambda x: x**3, lambda g, y, x: g * 3 * x)
    with pytest.raises(
        GradientMismatchError, match="first op whose own rule disagrees is wrong"
    ) as e:
        gradcheck(lambda x: (wrong(x.exp()) * x).sum(), np.array([0.3, 0.5]))
    assert [x.op and x.op.name for x in e.value.graph.inputs] == ["wrong"]
    assert "wrong" in viz.draw(e.value.graph).source


def test_a_wrong_second_derivative_is_told_from_a_wrong_first_one():
    careless = tg.elementwise(
        "careless", "c", math.sin, np.sin, lambda g, y, x: g * np.cos(plain(x))
    )
    gradcheck(careless, 0.3)
    with pytest.raises(GradientMismatchError, match="careless, in its second derivative"):
        gradcheck(lambda x: careless(x) * 2, 0.3, order=2)


def test_a_value_taken_out_of_the_graph_is_not_blamed_on_an_op():
    with pytest.raises(GradientMismatchError, match="Every op's own rule agrees"):
        gradcheck(detached_square, 1.0)


@given(st.integers(101, 5000), st.data())
def test_one_wrong_entry_of_many_is_found(n, data):
    i = data.draw(st.integers(0, n - 1))

    def forgets_one(x):
        return (x * x).sum() - x[i] * x[i] + x[i] * x[i].detach()

    with pytest.raises(GradientMismatchError, match=rf"(?m)at least 1 of {n} .*\n.*\n0 +\({i},\)"):
        gradcheck(forgets_one, np.linspace(1, 2, n))
    gradcheck(lambda x: x * x, np.linspace(1, 2, n))


def test_an_error_spread_over_many_entries_is_found():
    almost = tg.elementwise("almost", "~", np.exp, np.exp, lambda g, y, x: g * y * (1 + 1e-4))
    with pytest.raises(GradientMismatchError):
        gradcheck(almost, np.linspace(-1, 1, 10_000))


def test_a_function_that_draws_anew_each_time_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(GradientError, match=r"f gives .* for the same inputs"):
        gradcheck(lambda x: x * rng.random(), 1.0)


def test_nan_does_not_pass():
    with pytest.raises(GradientMismatchError, match="nan"):
        gradcheck(lambda x: x * np.nan, 1.0)


def test_data_is_restored_and_no_grad_is_touched():
    data = np.array([1.0, 2.0])
    x, v = Tensor(data, requires_grad=True), Value(3.0)
    x.grad = np.array([7.0, 7.0])
    gradcheck(lambda t: (t * t).sum(), x, order=2)
    gradcheck(lambda t: t * t, v, order=2)
    assert x.data is data
    assert data.tolist() == [1, 2]
    assert x.grad.tolist() == [7, 7]
    assert (v.data, v.grad) == (3.0, 0.0)


def test_data_is_restored_when_the_function_raises():
    calls = []

    def fails_at_the_third_call(x):
        calls.append(x)
        return x * x if len(calls) < 3 else 1 / len([])

    x = Tensor(np.array([1.0]), requires_grad=True)
    with pytest.raises(ZeroDivisionError):
        gradcheck(fails_at_the_third_call, x)
    assert x.data.tolist() == [1]


def test_a_read_only_array_can_be_checked():
    gradcheck(lambda x: x * x, Tensor(np.broadcast_to(2.0, (3,)), requires_grad=True))


def test_it_works_under_no_grad():
    with no_grad():
        gradcheck(lambda x: x * x, 3.0, order=2)


def test_a_node_that_requires_no_gradient_is_held_constant():
    labels = Tensor(np.array([1, 0]))
    gradcheck(lambda x, t: tg.cross_entropy(x, t), np.eye(2), labels, order=2)


@pytest.mark.parametrize(
    "x", [Tensor([1.0], requires_grad=True), np.ones(2, np.float32), np.ones(2, np.float16)]
)
def test_an_input_of_less_precision_is_refused_with_the_reason(x):
    with pytest.raises(DTypeError, match=r"input 1 .* is of float\d\d: its rounding would drown"):
        gradcheck(lambda a, b: a * b, 1.0, x)


def test_a_result_of_less_precision_is_refused():
    with pytest.raises(DTypeError, match="the result of f is of float32"):
        gradcheck(lambda x: x.astype(np.float32), 1.0)


@pytest.mark.parametrize("x", [np.arange(3), np.array([True]), "x", None, ["x"]])
def test_what_cannot_be_differentiated_by_is_refused(x):
    with pytest.raises(
        DTypeError, match=r"input 0\S* of gradcheck must be .* a constant belongs in f"
    ):
        gradcheck(lambda x: x, x)


def test_a_function_that_returns_no_node_is_refused():
    with pytest.raises(OperandError, match="f must return a Value or a Tensor, not ndarray"):
        gradcheck(lambda x: x.data * 2, np.ones(2))


def test_there_must_be_something_to_differentiate_by():
    with pytest.raises(GradientError, match="no input requires_grad"):
        gradcheck(lambda x: x * 2, Tensor([1.0]))


def test_orders_are_one_and_two():
    with pytest.raises(OperandError, match="order=1 or order=2, not 3"):
        gradcheck(lambda x: x, 1.0, order=3)
