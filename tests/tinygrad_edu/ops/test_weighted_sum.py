"""A neuron's sum as one node: what the products and sums written out give, to every order."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg
from tests.tinygrad_edu.test_formulas import in_browser
from tinygrad_edu import Tensor, Value
from tinygrad_edu.formulas import derivative_formula, javascript_forward, operand_names
from tinygrad_edu.testing import check_op, gradcheck

NUMBERS = st.floats(-1e3, 1e3)
TERMS = st.integers(1, 6).flatmap(
    lambda n: st.lists(NUMBERS, min_size=2 * n + 1, max_size=2 * n + 1)
)


def split(operands):
    n = len(operands) // 2
    return operands[:n], operands[n : 2 * n], operands[-1]


def written_out(operands):
    weights, x, b = split(operands)
    products = [w * xi for w, xi in zip(weights, x, strict=True)]
    return sum(products[1:], start=products[0]) + b


def fused(operands):
    return tg.weighted_sum(*split(operands))


def op_of(n):
    return fused([Value(1.0)] * (2 * n + 1)).op


@given(numbers=TERMS, data=st.data())
def test_the_sum_and_its_gradients_are_those_of_the_products_and_sums(numbers, data):
    takes = data.draw(st.lists(st.booleans(), min_size=len(numbers), max_size=len(numbers)))
    takes[data.draw(st.integers(0, len(numbers) - 1))] = True
    kinds = [
        data.draw(st.sampled_from([Value, float])) if not wanted else Value for wanted in takes
    ]
    found = []
    for sum_of in (fused, written_out):
        operands = [
            kind(x) if kind is float else Value(x, requires_grad=wanted)
            for kind, x, wanted in zip(kinds, numbers, takes, strict=True)
        ]
        y = sum_of(operands)
        y.backward()
        found.append([y.data, *(getattr(x, "grad", None) for x in operands)])
    assert found[0] == found[1]


def test_an_operand_that_comes_more_than_once_has_the_sum_of_its_gradients():
    x, w = Value(3.0), Value(2.0)
    tg.weighted_sum((w, x), (x, x), x).backward()  # w x + x² + x
    assert (x.grad, w.grad) == (2.0 + 2 * 3.0 + 1.0, 3.0)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_it_keeps_every_law_of_an_op(n):
    assert check_op(op_of(n)).compared > 100


@given(numbers=TERMS)
def test_second_derivatives_are_those_of_finite_differences(numbers):
    operands = [Value(x / 1e3) for x in numbers]
    gradcheck(lambda *nodes: tg.tanh(fused(nodes)), *operands, order=2)


def test_tensors_broadcast():
    rng = np.random.default_rng(0)
    w, x, b = (Tensor(rng.normal(size=s), True) for s in ((3, 1), (1, 4), (4,)))
    y = tg.weighted_sum([w], [x], b)
    np.testing.assert_array_equal(y.data, w.data * x.data + b.data)
    y.backward(np.ones((3, 4)))
    assert [t.grad.shape for t in (w, x, b)] == [(3, 1), (1, 4), (4,)]


def test_plain_numbers_make_a_plain_number():
    assert tg.weighted_sum([0.5, 2.0], [4, 1], 1) == 5.0


def test_infinite_and_undefined_numbers_are_no_exception():
    w, x = Value(math.inf), Value(0.0)
    y = tg.weighted_sum([w], [x], 1.0)
    y.backward()
    assert math.isnan(y.data)
    assert (w.grad, x.grad) == (0.0, math.inf)


@pytest.mark.parametrize(("weights", "x"), [([], []), ([1.0], [1.0, 2.0])])
def test_what_does_not_fit_is_refused(weights, x):
    with pytest.raises(tg.ShapeError, match=f"{len(weights)} weights and {len(x)} inputs"):
        tg.weighted_sum(weights, x, Value(0.0))


def test_its_formulas_name_weights_and_inputs():
    op = op_of(2)
    assert operand_names(op) == ["w0", "w1", "x0", "x1", "b"]
    assert [str(derivative_formula(op, i)) for i in range(5)] == ["x0", "x1", "w0", "w1", "1"]
    assert javascript_forward(op) == "w0 * x0 + w1 * x1 + b"


def test_javascript_computes_the_same(browser):
    rows = np.random.default_rng(0).normal(size=(20, 5)).tolist()
    code = f"({', '.join(operand_names(op_of(2)))}) => {javascript_forward(op_of(2))}"
    assert in_browser(browser, [(code, rows)]) == [fused(row) for row in rows]
