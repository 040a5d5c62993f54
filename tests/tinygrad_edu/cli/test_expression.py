"""Expressions of the command line: arithmetic becomes a graph, and nothing else is run."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import TinygradError, UnknownNameError, Value
from tinygrad_edu.cli.expression import FUNCTIONS, ExpressionError, assignments, evaluate

LEAVES = st.sampled_from(["x", "y", "2", "0.5", "-1.5"])
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda e: f"tanh({e})"),
        inner.map(lambda e: f"-{e}"),
        inner.map(lambda e: f"({e})**2"),
    ),
    max_leaves=12,
)


@given(text=EXPRESSIONS, x=st.floats(-2, 2), y=st.floats(-2, 2))
def test_an_expression_has_the_value_that_python_gives_it(text, x, y):
    names = {"x": x, "y": y}
    used = {name: number for name, number in names.items() if name in text}
    root, leaves = evaluate(f"{text} + 0*x", used | {"x": x})
    # Python itself is the oracle here; the code under test never evaluates anything.
    expected = eval(f"{text} + 0*x", {"tanh": math.tanh, **names})
    assert root.data == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert {leaf.label for leaf in leaves.values()} == set(used) | {"x"}


def test_a_variable_is_one_leaf_however_often_it_stands_there():
    root, leaves = evaluate("x*x + x", {"x": 3.0})
    root.backward()
    assert leaves["x"].grad == 7  # 2x + 1


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_can_be_called(name):
    arguments = ", ".join(["x"] * FUNCTIONS[name].arity)
    root, _ = evaluate(f"{name}({arguments})", {"x": 0.5})
    assert isinstance(root, Value)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "x.data",
        "x if x else 1",
        "x // 2",
        "lambda: x",
        "[x]",
        "x < 1",
        "x and 1",
        "True * x",
        "1j * x",
        "'a' + x",
        "(y := x)",
        "x; x",
        "x +",
        "",
        "2 + 3",
        "tanh(x, x)",
        "maximum(x)",
        "leaky_relu(x, negative_slope=1)",
        "f'{x}'",
        "x\0",
        "(" * 300 + "x" + ")" * 300,
        "+".join(["x"] * 50_000),
        "-" * 50_000 + "x",
    ],
)
def test_what_is_not_arithmetic_is_refused(text):
    with pytest.raises(TinygradError):
        evaluate(text, {"x": 1.0} if "x" in text else {})


def test_enormous_numbers_are_infinite_and_do_not_hang():
    with pytest.warns(RuntimeWarning, match="overflow"):
        root, _ = evaluate("9**9**9**9 + x", {"x": 1.0})
    assert root.data == math.inf
    assert evaluate("1" * 400 + " + x", {"x": 1.0})[0].data == math.inf


def test_what_is_wrong_is_named():
    with pytest.raises(ExpressionError, match="no number for b, w: add b=1 w=1"):
        evaluate("w*x + b", {"x": 1.0})
    with pytest.raises(ExpressionError, match="does not use y"):
        evaluate("x", {"x": 1.0, "y": 2.0})
    with pytest.raises(UnknownNameError, match=r"'tahn'.*Did you mean 'tanh'"):
        evaluate("tahn(x)", {"x": 1.0})
    with pytest.raises(ExpressionError, match=r"'x // 2' is not arithmetic.*\+ - \* /"):
        evaluate("1 + x // 2", {"x": 1.0})


@pytest.mark.parametrize("pair", ["x", "x=", "x=a", "=1", "1x=2", "tanh=1"])
def test_a_pair_that_is_no_assignment_is_refused(pair):
    with pytest.raises(ExpressionError):
        assignments([pair])


def test_a_variable_given_twice_is_refused():
    with pytest.raises(ExpressionError, match="'x' is given twice"):
        assignments(["x=1", "x=2"])
