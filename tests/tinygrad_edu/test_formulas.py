"""A formula read from a rule is worth what the rule says, in Python, on paper and in JavaScript."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import OperandError, Tensor, UnknownNameError
from tinygrad_edu.formulas import (
    Slot,
    derivative_formula,
    gradient_formula,
    javascript_forward,
    javascript_functions,
    operand_names,
)
from tinygrad_edu.formulas.expressions import evaluate
from tinygrad_edu.formulas.symbols import Symbol
from tinygrad_edu.ops.declare import OPS

ON_NUMBERS = [op for op in OPS.values() if op.on_floats is not None]
RULES = [(op, i) for op in ON_NUMBERS for i, rule in enumerate(op.rules) if rule is not None]
# Zeros, kinks, halves, what overflows, and what is no number.
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, -3.0, 6.0, 40.0, -700.0, 710.0]
SPECIAL += [1e-9, 1e-300, 1e300, -1e300, math.inf, -math.inf, math.nan]
# Attributes that are not the defaults, where an op has some.
OTHER_ATTRS = [
    ("leaky_relu", {"negative_slope": 0.3}),
    ("elu", {"alpha": 2.0}),
    ("hardtanh", {"min_val": 0.25, "max_val": 6.0}),
    ("gelu", {"approximate": "tanh"}),
    ("round", {"decimals": 2}),
    ("round", {"decimals": -1}),
    ("sinc_derivative", {"order": 2}),
    ("sinc_derivative", {"order": 3}),
    ("nan_to_num", {"nan": 1.5, "posinf": 9.0, "neginf": -math.inf}),
]
FORWARDS = [(op, op.defaults) for op in ON_NUMBERS] + [(OPS[n], attrs) for n, attrs in OTHER_ATTRS]


def name_of(case):
    return f"{case[0].name}-{case[1]}"


def forward(op, operands, attrs=None):
    with np.errstate(all="ignore"):
        return op.on_python_floats(operands, op.defaults if attrs is None else attrs)


def by_rule(op, i, g, y, operands, attrs=None):
    with np.errstate(all="ignore"):
        ieee = [np.float64(x) for x in (g, y, *operands)]
        return float(op.rules[i](*ieee, **(op.defaults if attrs is None else attrs)))


def wrong(found, expected):
    """The cases in which a number that was found is not the one expected."""
    return [
        (case, x, y)
        for x, (case, y) in zip(found, expected, strict=True)
        if not agree(x, y, smallest=1e-14)
    ]


def agree(found, expected, rel=1e-12, smallest=1e-300):
    return found == pytest.approx(expected, rel=rel, abs=smallest, nan_ok=True)


# Formulas in Python


@pytest.mark.parametrize("case", RULES, ids=name_of)
@given(data=st.data())
def test_a_formula_is_worth_what_the_rule_says(case, data):
    op, i = case
    numbers = st.floats(-30, 30) | st.sampled_from(SPECIAL)
    g, *operands = (data.draw(numbers) for _ in range(op.arity + 1))
    y = forward(op, operands)
    named = dict(zip(operand_names(op), operands, strict=True), y=y)
    found = gradient_formula(op, i).evaluate(g=g, **named)
    assert agree(found, by_rule(op, i, g, y, operands))
    assert agree(derivative_formula(op, i).evaluate(**named), by_rule(op, i, 1.0, y, operands))


@pytest.mark.parametrize(
    ("op", "position", "known", "text"),
    [
        (tg.add, 0, (), "1"),
        (tg.multiply, 0, (), "b"),
        (tg.divide, 0, (), "1 / b"),
        (tg.divide, 1, (), "-y / b"),
        (tg.tanh, 0, (), "1 - y²"),
        (tg.sigmoid, 0, (), "y · (1 - y)"),
        (tg.relu, 0, (), "[x > 0]"),
        (tg.exp, 0, (), "y"),
        (tg.log, 0, (), "1 / x"),
        (tg.sqrt, 0, (), "1 / (2 · y)"),
        (tg.power, 0, (), "p · x^(p - 1)"),
        (tg.power, 0, (None, 2.0), "2 · x"),
        (tg.power, 0, (None, 3.0), "3 · x²"),
        (tg.power, 0, (None, -1.0), "-x⁻²"),
        (tg.power, 1, (2.0, None), "log(2) · y"),
        (tg.reciprocal, 0, (), "-y²"),
        (tg.softsign, 0, (), "1 / (1 + |x|)²"),
        (tg.hypot, 1, (), "b / y"),
        (tg.mod, 1, (), "-⌊a / b⌋"),
        (tg.arcsin, 0, (), "1 / √((1 - x) · (1 + x))"),
        (tg.leaky_relu, 0, (), "1 if x > 0 else 0.01"),
        (tg.maximum, 0, (), "1 if a > b else 0.5 · [a = b]"),
        (OPS["clip"], 0, (), "[a ≥ lo ∧ a ≤ hi]"),
        (OPS["nan_to_num"], 0, (), "[x is finite]"),
    ],
)
def test_a_derivative_reads_as_in_a_textbook(op, position, known, text):
    assert str(derivative_formula(op, position, known=known)) == text


def test_a_gradient_keeps_g_and_takes_names_in_its_place():
    formula = gradient_formula(tg.multiply, 0)
    assert str(formula) == "g · b"
    assert formula.text({"g": "∂L/∂y", "b": "w"}) == "∂L/∂y · w"


def test_negative_numbers_are_in_parentheses_where_they_follow_a_sign_or_are_raised():
    assert gradient_formula(tg.tanh, 0).with_numbers({"g": -2, "y": -0.5}) == "-2 · (1 - (-0.5)²)"
    assert gradient_formula(tg.negative, 0).with_numbers({"g": -1}) == "-(-1)"
    assert derivative_formula(tg.power, 0).with_numbers({"x": -3, "p": -1}) == "-1 · (-3)^(-1 - 1)"
    assert derivative_formula(tg.multiply, 0).parts == (Slot("b", parenthesised=False),)


def test_what_keeps_zero_over_zero_out_is_written_only_where_it_does():
    formula = derivative_formula(tg.hypot, 0)
    assert formula.with_numbers({"a": 3, "y": 5}) == "3 / 5"
    assert formula.with_numbers({"a": 0, "y": 0}) == "0 / (0 + [0 = 0])"


PYTHON = {"·": "*", "∧": "and", "∨": "or", "≤": "<=", "≥": ">=", "≠": "!=", " = ": " == "}
PYTHON |= {"^": "**", "⁻²": "**-2", "²": "**2", "³": "**3", "√": "sqrt ", "∞": "inf"}


def worth_of(text):
    """What a formula's text says, read as Python reads it."""
    text = re.sub(r"\|([^|]*)\|", r"abs(\1)", text)
    text = re.sub(r"⌊([^⌋]*)⌋", r"floor(\1)", text).replace("′", "_derivative")
    text = re.sub(r"(\S+) is (finite|nan)", r"is\2(\1)", text)
    text = re.sub(r"√(\d[\d.e-]*)", r"sqrt(\1)", text).replace("√", "sqrt")
    for sign, python in PYTHON.items():
        text = text.replace(sign, python)
    text = text.replace("[", "float(").replace("]", ")")
    functions = {"max": max, "min": min, "abs": abs}
    functions |= {"isfinite": math.isfinite, "isnan": math.isnan, "inf": math.inf}
    names = {op.name: op for op in ON_NUMBERS} | functions
    # Each number as NumPy's, with which 1 / 0 is inf.
    text = re.sub(r"(?<![\w.])(\d+\.?\d*(?:e[+-]?\d+)?)", r"number(\1)", text)
    with np.errstate(all="ignore"):
        return float(eval(text, {**names, "number": np.float64}))


@pytest.mark.parametrize("case", RULES, ids=name_of)
@given(data=st.data())
def test_the_text_with_numbers_in_it_says_what_the_formula_is_worth(case, data):
    op, i = case
    if op.name == "sinc_derivative":
        return  # its text names the order by a word that no number is
    formula = gradient_formula(op, i)
    numbers = {name: data.draw(st.integers(-18, 18)) / 4 for name in ("g", "y", *operand_names(op))}
    found, expected = worth_of(formula.with_numbers(numbers)), formula.evaluate(**numbers)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-9, nan_ok=True)  # constants: 6 digits


# Ops of one's own


def test_an_op_of_ones_own_has_formulas_and_javascript_too():
    cube = tg.elementwise(
        "cube", "³", lambda x: x * x * x, lambda x: x**3, lambda g, y, x: g * 3 * x * x
    )
    assert str(gradient_formula(cube, 0)) == "3 · g · x²"
    assert javascript_forward(cube) == "x * x * x"


def test_a_forward_in_numpy_is_traced_where_the_one_for_floats_cannot_be():
    logit = tg.elementwise(
        "logit",
        "logit",
        lambda p: math.log(p / (1 - p)),
        lambda p: np.log(p / (1 - p)),
        lambda g, y, p: g / (p * (1 - p)),
    )
    assert javascript_forward(logit) == "Math.log(p / (1 - p))"
    assert str(derivative_formula(logit, 0)) == "1 / (p · (1 - p))"


def test_an_op_that_asks_for_numbers_has_no_formula_and_no_javascript():
    opaque = tg.elementwise(
        "opaque",
        "?",
        math.sin,
        lambda x: np.vectorize(math.sin)(x),
        lambda g, y, x: g * math.cos(x),
    )
    assert derivative_formula(opaque, 0) is None
    assert javascript_forward(opaque) is None
    branching = tg.elementwise(
        "branching", "?", lambda x: 1.0 if x > 0 else x, np.sign, lambda g, y, x: g if x > 0 else 0
    )
    assert gradient_formula(branching, 0) is None


def test_an_op_of_ones_own_by_the_name_of_another_is_not_taken_for_it():
    double = tg.elementwise("tanh", "tanh", lambda x: 2 * x, lambda x: 2 * x, lambda g, y, x: 2 * g)
    assert javascript_forward(double) == "2 * x"


def test_an_operand_by_a_name_that_is_taken_gets_another():
    op = tg.elementwise("own", "own", lambda a, b: a, np.maximum, None, lambda g, out, y, new: g)
    assert operand_names(op) == ["y_", "new_"]


# Where there is none


def test_where_no_gradient_flows_there_is_no_formula():
    assert gradient_formula(tg.floor, 0) is None
    assert derivative_formula(tg.where, 0) is None
    assert derivative_formula(tg.matmul, 0) is None  # a gradient, but no slope


def test_what_an_op_does_not_have_is_an_error():
    with pytest.raises(OperandError, match="multiply has 2 inputs, and none at position 2"):
        derivative_formula(tg.multiply, 2)
    with pytest.raises(UnknownNameError, match="negative_slope"):
        derivative_formula(tg.leaky_relu, 0, {"slope": 0.1})
    with pytest.raises(OperandError, match="reshape needs shape="):
        gradient_formula(OPS["reshape"], 0)
    with pytest.raises(UnknownNameError, match="number for a formula 'y'"):
        derivative_formula(tg.tanh, 0).evaluate(x=1.0)


def test_a_symbol_is_neither_true_nor_a_number():
    with pytest.raises(OperandError, match="where instead of if"):
        bool(Symbol("x") > 0)
    with pytest.raises(OperandError, match="not math's"):
        math.exp(Symbol("x"))


# Ops on arrays


def leaf(*shape):
    rng = np.random.default_rng(len(shape))
    return Tensor(rng.uniform(0.5, 2.0, shape), requires_grad=True)


RESULTS = {
    "g @ bᵀ": leaf(2, 3) @ leaf(3, 4),
    "g[..., None] · b": leaf(2, 3) @ leaf(3),
    "g @ weight": tg.linear(leaf(2, 3), leaf(4, 3), leaf(4)),
    "broadcast(g)": tg.sum(leaf(2, 3), axis=0),
    "broadcast(g / 6)": tg.mean(leaf(2, 3)),
    "reshape(g)": leaf(2, 3).reshape(6),
    "gᵀ": leaf(2, 3).T,
    "y · (g - Σ(g · y, axis=-1))": leaf(2, 3).softmax(),
    "-yᵀ @ g @ yᵀ": tg.linalg.inv(leaf(2, 2)),
    "g[0]": tg.stack([leaf(2), leaf(2)]),
}


def shapes_around(y):
    return y.shape, *(x.shape for x in y.inputs)


@pytest.mark.parametrize("text", RESULTS)
def test_an_op_on_arrays_has_a_formula_once_its_shapes_are_known(text):
    y = RESULTS[text]
    formula = gradient_formula(y.op, 0, y.attrs, shapes=shapes_around(y))
    assert str(formula) == text


@pytest.mark.parametrize("y", RESULTS.values(), ids=RESULTS)
def test_a_formula_of_arrays_is_worth_what_backward_hands_on(y):
    g = np.random.default_rng(0).normal(size=y.shape)
    found = tg.gradients(y, g)
    for i, x in enumerate(y.inputs):
        formula = gradient_formula(y.op, i, y.attrs, shapes=shapes_around(y))
        arrays = dict(zip(formula.operands, (t.data for t in y.inputs), strict=True))
        by_formula = evaluate(formula.expression, {"g": g, "y": y.data, **arrays})
        fitted = by_formula if by_formula.shape == x.shape else by_formula.sum(0)
        np.testing.assert_allclose(fitted, found[x], rtol=1e-12)


def test_without_shapes_a_rule_that_asks_for_them_has_no_formula():
    assert gradient_formula(tg.matmul, 0) is None
    assert str(gradient_formula(OPS["log_softmax"], 0)) == "g - exp(y) · Σ(g, axis=-1)"


# JavaScript


def in_browser(browser, calls):
    """What JavaScript functions return for rows of numbers: pairs of (code, rows), in one page."""
    tables = [(code, [f"[{', '.join(map(literal, row))}]" for row in rows]) for code, rows in calls]
    rows = ", ".join(f"[{code}, [{', '.join(table)}]]" for code, table in tables)
    # JSON has no nan: numbers come as texts.
    script = f"""() => {{ {javascript_functions()}
        return [{rows}].flatMap(([f, rows]) => rows.map((row) => String(+f(...row)))); }}"""
    tab = browser.new_page()
    try:
        return [float(text.replace("Infinity", "inf")) for text in tab.evaluate(script)]
    finally:
        tab.close()


def literal(x):
    return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(repr(x), repr(x))


def points(op, rng):
    """Special numbers in every combination for up to two operands, and numbers at random."""
    if op.arity <= 2:
        special = np.stack(np.meshgrid(*[SPECIAL] * op.arity), -1).reshape(-1, op.arity)
    else:
        special = rng.choice(SPECIAL, (200, op.arity))
    return [*special.tolist(), *(rng.normal(size=(50, op.arity)) * 3).tolist()]


def test_every_op_on_numbers_does_the_same_in_javascript(browser):
    rng = np.random.default_rng(0)
    calls, expected = [], []
    for op, attrs in FORWARDS:
        code = f"({', '.join(operand_names(op))}) => {javascript_forward(op, attrs)}"
        rows = points(op, rng)
        calls.append((code, rows))
        expected += [((op.name, row), forward(op, row, attrs)) for row in rows]
    found = in_browser(browser, calls)
    # Φ(x) cancels below 0, where an error in the last digit of erf is all that remains of gelu.
    assert not wrong(found, expected)


def test_every_rule_on_numbers_does_the_same_in_javascript(browser):
    rng = np.random.default_rng(1)
    calls, expected = [], []
    for op, i in RULES:
        code = gradient_formula(op, i).javascript()
        rows = []
        for operands in points(op, rng)[::3]:
            g, y = float(rng.normal()), forward(op, operands)
            rows.append((g, y, *operands))
            expected.append(((op.name, i, rows[-1]), by_rule(op, i, g, y, operands)))
        calls.append((f"({', '.join(('g', 'y', *operand_names(op)))}) => {code}", rows))
    found = in_browser(browser, calls)
    assert not wrong(found, expected)
