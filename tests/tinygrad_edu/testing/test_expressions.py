"""Random expressions: they are what they print, on every kind of number, and smooth."""

import math
import re

import numpy as np
import pytest
from hypothesis import find, given
from hypothesis import strategies as st

from tinygrad_edu import OperandError, Tensor, Value, topological_order
from tinygrad_edu.graph import Node
from tinygrad_edu.testing import Expression, expressions, gradcheck


def nodes(kind, expression):
    return [kind(np.array(x), requires_grad=True) for x in expression.inputs]


@given(expressions())
def test_an_expression_prints_as_the_python_that_makes_it(expression):
    again = eval(repr(expression), {"Expression": Expression})
    assert again == expression
    assert again(*again.inputs) == expression(*expression.inputs)


@given(expressions())
def test_floats_values_and_tensors_agree_on_it(expression):
    y = expression(*expression.inputs)
    assert type(y) is float
    assert math.isfinite(y)
    assert expression(*nodes(Value, expression)).data == y
    assert expression(*nodes(Tensor, expression)).data == pytest.approx(y, rel=1e-12)


@given(expressions(depth=5, leaves=4))
def test_it_has_the_derivatives_that_finite_differences_see(expression):
    gradcheck(expression, *expression.inputs, order=2)  # a KinkWarning would be an error
    gradcheck(expression, *nodes(Value, expression))


@given(expressions())
def test_every_input_is_reached(expression):
    inputs = nodes(Value, expression)
    order = topological_order(expression(*inputs))
    assert set(inputs) <= set(order)


@given(st.integers(1, 4), st.data())
def test_the_numbers_of_leaves_and_of_ops_in_a_row_are_bounded(leaves, data):
    assert len(data.draw(expressions(leaves=leaves)).inputs) <= leaves
    source = data.draw(expressions(depth=1)).source
    calls = re.sub(r"\d \* sin\(", "", source).count("(")  # a sine brings a number into a domain
    assert calls <= 1 + ("/ (" in source) + ("% (" in source)


def test_results_are_shared():
    def shares(expression):
        y = expression(*nodes(Value, expression))
        uses = [x for z in topological_order(y) for x in z.inputs if isinstance(x, Node)]
        results = [x for x in uses if not x.is_leaf]
        return len(results) > len(set(results))

    find(expressions(), shares)


@pytest.mark.parametrize(
    "source", ["x0 - (x1 - x2)", "x0 - x1 - x2", "(x0 ** x1) ** x2", "x0 * (x1 + x2) / x0"]
)
def test_a_source_is_read_as_python_reads_it(source):
    numbers = {"x0": 1.5, "x1": 0.25, "x2": -0.75}
    assert Expression(source, tuple(numbers.values()))(*numbers.values()) == eval(source, numbers)


def test_the_simplest_expression_is_a_sum_of_two_leaves():
    assert find(expressions(), lambda e: len(e.inputs) > 1) == Expression("x0 + x1", (0.0, 0.0))


def test_another_number_of_inputs_is_refused():
    with pytest.raises(OperandError, match=r"x0 \+ x1 takes 2 inputs, not 1"):
        Expression("x0 + x1", (0.0, 0.0))(1.0)


@pytest.mark.parametrize("bounds", [{"depth": 0}, {"leaves": 0}])
def test_an_expression_of_nothing_is_refused(bounds):
    with pytest.raises(OperandError, match="depth of 1 or more and 1 leaf or more"):
        expressions(**bounds)
