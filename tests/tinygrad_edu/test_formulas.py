"""A formula read from a rule is worth what the rule says, in Python, on paper and in JavaScript."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu.formulas import (
    Slot,
    derivative_formula,
    gradient_formula,
    javascript_forward,
    javascript_functions,
    operand_names,
)
from tinygrad_edu.ops.declare import OPS

ON_NUMBERS = [op for op in OPS.values() if op.on_floats is not None]
RULES = [(op, i) for op in ON_NUMBERS for i, rule in enumerate(op.rules) if rule is not None]
NUMBERS = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -3.0, 0.1, 7.25, -2.5, 3.0, 40.0, -700.0]
NUMBERS += [1e-9, 1e300, math.inf, -math.inf, math.nan]
# Without a JavaScript of their own: derivatives of every order of sinc.
WITHOUT = {"sinc_derivative"}


def name_of(case):
    return f"{case[0].name}-{case[1]}" if isinstance(case, tuple) else case.name


def by_rule(op, i, g, y, operands):
    with np.errstate(all="ignore"):
        ieee = [np.float64(x) for x in (g, y, *operands)]
        return float(op.rules[i](*ieee, **op.defaults))


def forward(op, operands):
    with np.errstate(all="ignore"):
        return op.on_python_floats(operands, op.defaults)


@pytest.mark.parametrize("case", RULES, ids=name_of)
@given(data=st.data())
def test_a_formula_has_the_value_of_the_rule_it_was_read_from(case, data):
    op, i = case
    formula = gradient_formula(op, i)
    if op.name == "nan_to_num":  # asks whether its operand is finite, which no symbol answers
        assert formula is None
        return
    number = st.floats(-30, 30, width=32)
    g, *operands = (data.draw(number) for _ in range(op.arity + 1))
    y = forward(op, operands)
    slots = dict(zip(operand_names(op), map(np.float64, operands), strict=True))
    with np.errstate(all="ignore"):
        found = formula.evaluate(g=np.float64(g), y=np.float64(y), **slots)
        slope = derivative_formula(op, i).evaluate(y=np.float64(y), **slots)
    expected = by_rule(op, i, g, y, operands)
    assert float(found) == pytest.approx(expected, rel=1e-12, abs=1e-300, nan_ok=True)
    expected = by_rule(op, i, 1.0, y, operands)
    assert float(slope) == pytest.approx(expected, rel=1e-12, abs=1e-300, nan_ok=True)


@pytest.mark.parametrize(
    ("op", "position", "known", "text"),
    [
        (tg.multiply, 0, (), "b"),
        (tg.divide, 1, (), "-y / b"),
        (tg.tanh, 0, (), "1 - y²"),
        (tg.sigmoid, 0, (), "y · (1 - y)"),
        (tg.relu, 0, (), "[x > 0]"),
        (tg.exp, 0, (), "y"),
        (tg.log, 0, (), "1 / x"),
        (tg.power, 0, (None, 2.0), "2 · x"),
        (tg.power, 0, (None, 3.0), "3 · x²"),
        (tg.power, 1, (2.0, None), "y · ln 2"),
        (tg.reciprocal, 0, (), "-y²"),
        (tg.clip, 0, (), "[a ≥ lo ∧ a ≤ hi]"),
        (tg.leaky_relu, 0, (), "1 if x > 0 else 0.01"),
    ],
)
def test_a_derivative_reads_as_in_a_textbook(op, position, known, text):
    if op is tg.clip:
        op = OPS["clip"]
    assert str(derivative_formula(op, position, known=known)) == text


def test_negative_numbers_are_in_parentheses_where_they_need_them():
    assert gradient_formula(tg.multiply, 0).fill(g=-2, b=-3) == "-2 · (-3)"
    assert gradient_formula(tg.tanh, 0).fill(g=0.5, y=-0.5) == "0.5 · (1 - (-0.5)²)"
    assert gradient_formula(tg.negative, 0).fill(g=-1) == "-(-1)"
    assert derivative_formula(tg.multiply, 0).parts == (Slot("b", False),)


ARITHMETIC = {
    "add",
    "subtract",
    "multiply",
    "divide",
    "tanh",
    "sigmoid",
    "square",
    "arctan",
    "silu",
}


@given(st.sampled_from([case for case in RULES if case[0].name in ARITHMETIC]), st.data())
def test_a_formula_with_numbers_in_it_is_worth_its_value(case, data):
    op, i = case
    names = ["g", "y", *operand_names(op)]
    slots = {name: data.draw(st.integers(-9, 9)) for name in names}
    formula = gradient_formula(op, i)
    text = formula.fill(**slots)
    text = text.replace("·", "*").replace("²", "**2")
    try:
        expected = formula.evaluate(**{k: np.float64(v) for k, v in slots.items()})
        found = eval(text, {"sigmoid": tg.sigmoid})
    except (ZeroDivisionError, RuntimeWarning):
        return
    assert found == pytest.approx(float(expected), rel=1e-12)


def test_an_op_of_one_s_own_has_formulas_and_javascript_too():
    cube = tg.elementwise(
        "cube", "³", lambda x: x * x * x, lambda x: x**3, lambda g, y, x: g * 3 * x * x
    )
    assert str(derivative_formula(cube, 0)) == "3 · x · x"
    assert javascript_forward(cube) == "((x * x) * x)"
    opaque = tg.elementwise(
        "opaque", "?", lambda x: math.sin(x), np.sin, lambda g, y, x: g * math.cos(x)
    )
    assert derivative_formula(opaque, 0) is None
    assert javascript_forward(opaque) is None


def test_where_no_gradient_flows_or_a_rule_looks_at_shapes_there_is_no_formula():
    assert gradient_formula(tg.floor, 0) is None
    assert gradient_formula(tg.sum, 0) is None
    assert (
        str(gradient_formula(OPS["softmax"], 0)) == "y · (g - sum(g · y, axis=-1, keepdims=True))"
    )


def in_browser(browser, source):
    """What a list of JavaScript expressions is worth; as texts, since JSON has no nan."""
    tab = browser.new_page()
    function = f"{javascript_functions()}; return [{source}].map((x) => String(Number(x)));"
    try:
        texts = tab.evaluate(f"() => {{ {function} }}")
    finally:
        tab.close()
    return [float(text.replace("Infinity", "inf")) for text in texts]


def assert_close(found, expected, what):
    for case, one, other in zip(what, found, expected, strict=True):
        if one != other and not (math.isnan(one) and math.isnan(other)):
            assert one == pytest.approx(other, rel=1e-11, abs=1e-15), case


def literal(x):
    return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(repr(x), repr(x))


def test_every_op_on_numbers_does_the_same_in_javascript(browser):
    rng = np.random.default_rng(0)
    calls, expected, what = [], [], []
    for op in ON_NUMBERS:
        expression = javascript_forward(op)
        assert (expression is None) == (op.name in WITHOUT), op.name
        if expression is None:
            continue
        names = operand_names(op)
        calls.append(f"(({', '.join(names)}) => {expression})")
        points = [[x] for x in NUMBERS] if op.arity == 1 else []
        points += [list(rng.choice(NUMBERS, op.arity)) for _ in range(60)] if op.arity > 1 else []
        points += [list(rng.normal(size=op.arity) * 3) for _ in range(40)]
        row = []
        for point in points:
            point = list(map(float, point))
            row.append(", ".join(map(literal, point)))
            expected.append(forward(op, point))
            what.append((op.name, point))
        arguments = ", ".join(f"[{each}]" for each in row)
        calls[-1] = f"...[{arguments}].map((each) => {calls[-1]}(...each))"
    assert_close(in_browser(browser, ", ".join(calls)), expected, what)


def test_every_rule_on_numbers_does_the_same_in_javascript(browser):
    rng = np.random.default_rng(1)
    calls, expected, what = [], [], []
    for op, i in RULES:
        formula = gradient_formula(op, i)
        expression = None if formula is None else formula.javascript()
        if expression is None:
            assert op.name in {"sinc", "sinc_derivative", "nan_to_num"}
            continue
        names = ["g", "y", *operand_names(op)]
        row = []
        for _ in range(50):
            pick = (
                rng.choice(NUMBERS, op.arity) if rng.random() < 0.5 else rng.normal(size=op.arity)
            )
            operands = list(map(float, pick))
            g, y = float(rng.normal()), forward(op, operands)
            row.append(", ".join(map(literal, (g, y, *operands))))
            expected.append(by_rule(op, i, g, y, operands))
            what.append((op.name, i, g, y, operands))
        arguments = ", ".join(f"[{each}]" for each in row)
        calls.append(
            f"...[{arguments}].map((each) => (({', '.join(names)}) => {expression})(...each))"
        )
    assert_close(in_browser(browser, ", ".join(calls)), expected, what)
