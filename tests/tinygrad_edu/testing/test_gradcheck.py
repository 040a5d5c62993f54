"""The gradient check itself: what it accepts, what it catches, what it leaves alone."""

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import (
    DTypeError,
    GradientError,
    GradientMismatchError,
    OperandError,
    Tensor,
    Value,
    no_grad,
)
from tinygrad_edu.testing import gradcheck


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
    assert heading.split() == ["input", "index", "analytic", "numeric", "its", "error"]
    assert [row.split()[:4] for row in rows[:1]] == [["0", "weight", "(0,", "0)"]]
    assert [float(row.split()[4]) for row in rows] == pytest.approx([1, 3, -2])
    assert [float(row.split()[5]) for row in rows] == pytest.approx([2, 6, -4])


def test_a_long_table_is_cut_short():
    with pytest.raises(GradientMismatchError, match=r"(?s)at 40 of 40 .*\.\.\. and 30 more$"):
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
    "f", [tg.relu, lambda x: x + (x > 0), lambda x: tg.where(x > 0, x.log(), 5.0)]
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_kink_a_jump_and_a_pole_do_not_pass(f):
    with pytest.raises(GradientMismatchError):
        gradcheck(f, 0.0)


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


@pytest.mark.parametrize("x", [np.arange(3), np.array([True]), "x", None, [1.0]])
def test_what_cannot_be_differentiated_by_is_refused(x):
    with pytest.raises(
        DTypeError, match=r"input 0 of gradcheck must be .* a constant belongs in f"
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
