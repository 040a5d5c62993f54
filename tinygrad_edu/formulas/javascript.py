"""Expressions as JavaScript.

An op that JavaScript, or ops.js beside this file, has a function for is in a table. Any other is
written out from its own forward, called with symbols.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tinygrad_edu.formulas import expressions
from tinygrad_edu.formulas.expressions import Call, Expression, as_question, is_number
from tinygrad_edu.formulas.symbols import Symbol, expression_of
from tinygrad_edu.ops import elementwise as ops
from tinygrad_edu.ops.declare import OPS, Op

# How tightly an operator of JavaScript binds.
CHOICE, EITHER, BOTH, EQUALITY, RELATION, SUM, PRODUCT, SIGN, POWER, ATOM = range(10)


def javascript_of(x: Expression) -> str | None:
    """An expression over JavaScript variables; None if it has an op that cannot be written."""
    try:
        return _written(x, CHOICE)
    except _CannotBeWrittenError:
        return None


def traced(f: Callable[..., Any], *arguments: Any, **options: Any) -> Expression | None:
    """What ``f`` computes, as an expression; None if it asks for more than symbols know."""
    try:
        expression = expression_of(f(*arguments, **options), ops.positive)
    except Exception:  # whatever a function of numbers raises when it meets a symbol
        return None
    return expression if expressions.size(expression) <= MOST_PARTS else None


# A formula of more names, numbers and ops than this is nothing to be read.
MOST_PARTS = 300


class _CannotBeWrittenError(Exception):
    """JavaScript has no function for an op, and its forward is not made of ops."""


def _written(x: Expression, level: int) -> str:
    code, own = _code(x)
    return code if own >= level else f"({code})"


def _code(x: Expression) -> tuple[str, int]:
    """An expression, and how tightly it binds."""
    if isinstance(x, str):
        return x, ATOM
    if not isinstance(x, Call):
        return _literal(x), SIGN if str(x).startswith("-") else ATOM
    special = _SPECIAL.get(x.op)
    if special is not None:
        return special(*x.inputs)
    if x.op in _INFIX:
        sign, own = _INFIX[x.op]
        a, b = x.inputs
        return f"{_written(a, own)} {sign} {_written(b, own + 1)}", own
    if x.op in _FUNCTIONS:
        options = {name: _literal(value) for name, value in x.attrs}
        inputs = [_written(part, CHOICE) for part in x.inputs]
        return _FUNCTIONS[x.op].format(*inputs, **options), ATOM
    return _code(written_out(x))


def written_out(x: Call) -> Expression:
    """What an op's forward computes, in terms of other ops."""
    op, attrs = x.op, dict(x.attrs)
    for forward in (op.on_floats, op.on_arrays):
        if op.on_floats is not None and forward is not None:
            found = traced(forward, *map(Symbol, x.inputs), **attrs)
            if found is not None and not (isinstance(found, Call) and found.op is op):
                return found
    raise _CannotBeWrittenError


def _literal(x: Any) -> str:
    if x is None:
        return "null"
    if isinstance(x, bool):
        return "true" if x else "false"
    if not isinstance(x, int | float):
        raise _CannotBeWrittenError
    if math.isnan(x):
        return "NaN"
    if math.isinf(x):
        return "Infinity" if x > 0 else "-Infinity"
    whole = x == int(x) and math.fabs(x) < 1e16
    return repr(x).removesuffix(".0") if whole else repr(x)


# What is no operator between two operands, and no function.


def _choice(condition: Expression, a: Expression, b: Expression) -> tuple[str, int]:
    asked = _written(as_question(condition), EITHER)
    return f"{asked} ? {_written(a, EITHER)} : {_written(b, CHOICE)}", CHOICE


def _negative(x: Expression) -> tuple[str, int]:
    code, own = _code(x)
    # --x would count x down, and -x ** 2 is an error of syntax.
    if own < PRODUCT or code.startswith("-") or "**" in code:
        return f"-({code})", SIGN
    return f"-{code}", min(own, SIGN)


def _square(x: Expression) -> tuple[str, int]:
    if isinstance(x, str):
        return f"{x} * {x}", PRODUCT
    return f"{_written(x, ATOM)} ** 2", POWER


def _power(x: Expression, p: Expression) -> tuple[str, int]:
    # JavaScript's own power of 1 is nan where the exponent is nan, and where it is infinite.
    if is_number(p) and math.isfinite(p):
        return f"{_written(x, ATOM)} ** {_written(p, SIGN)}", POWER
    return f"Ops.power({_written(x, CHOICE)}, {_written(p, CHOICE)})", ATOM


_SPECIAL: dict[Op, Callable[..., tuple[str, int]]] = {
    ops.where: _choice,
    ops.negative: _negative,
    ops.square: _square,
    ops.power: _power,
    ops.float_power: _power,
    ops.positive: lambda x: _code(x),
    ops.reciprocal: lambda x: (f"1 / {_written(x, SIGN)}", PRODUCT),
    ops.exp2: lambda x: (f"2 ** {_written(x, SIGN)}", POWER),
    ops.deg2rad: lambda x: (f"{_written(x, PRODUCT)} * (Math.PI / 180)", PRODUCT),
    ops.rad2deg: lambda x: (f"{_written(x, PRODUCT)} * (180 / Math.PI)", PRODUCT),
    expressions.negation: lambda x: (f"!{_written(x, ATOM)}", SIGN),
    expressions.isinf: lambda x: (f"Math.abs({_written(x, CHOICE)}) === Infinity", EQUALITY),
}

_INFIX: dict[Op, tuple[str, int]] = {
    ops.add: ("+", SUM),
    ops.subtract: ("-", SUM),
    ops.multiply: ("*", PRODUCT),
    ops.divide: ("/", PRODUCT),
    ops.fmod: ("%", PRODUCT),
    expressions.equal: ("===", EQUALITY),
    expressions.not_equal: ("!==", EQUALITY),
    expressions.less: ("<", RELATION),
    expressions.less_equal: ("<=", RELATION),
    expressions.greater: (">", RELATION),
    expressions.greater_equal: (">=", RELATION),
    expressions.both: ("&&", BOTH),
    expressions.either: ("||", EITHER),
}

# By the op, not by its name: somebody's own op of the same name is another one.
_FUNCTIONS: dict[Op, str] = {
    ops.exp: "Math.exp({})",
    ops.expm1: "Math.expm1({})",
    ops.log: "Math.log({})",
    ops.log2: "Math.log2({})",
    ops.log10: "Math.log10({})",
    ops.log1p: "Math.log1p({})",
    ops.logaddexp: "Ops.logaddexp({}, {})",
    ops.logaddexp2: "Ops.logaddexp2({}, {})",
    ops.sqrt: "Math.sqrt({})",
    ops.cbrt: "Math.cbrt({})",
    ops.hypot: "Math.hypot({}, {})",
    ops.erf: "Ops.erf({})",
    ops.sin: "Math.sin({})",
    ops.cos: "Math.cos({})",
    ops.tan: "Math.tan({})",
    ops.arcsin: "Math.asin({})",
    ops.arccos: "Math.acos({})",
    ops.arctan: "Math.atan({})",
    ops.arctan2: "Math.atan2({}, {})",
    ops.sinh: "Math.sinh({})",
    ops.cosh: "Math.cosh({})",
    ops.tanh: "Math.tanh({})",
    ops.arcsinh: "Math.asinh({})",
    ops.arccosh: "Math.acosh({})",
    ops.arctanh: "Math.atanh({})",
    ops.sinc: "Ops.sinc({})",
    ops.sinc_derivative: "Ops.sincDerivative({}, {order})",
    ops.abs: "Math.abs({})",
    ops.sign: "Math.sign({})",
    ops.copysign: "Ops.copysign({}, {})",
    ops.heaviside: "Ops.heaviside({}, {})",
    ops.maximum: "Math.max({}, {})",
    ops.minimum: "Math.min({}, {})",
    ops.fmax: "Ops.fmax({}, {})",
    ops.fmin: "Ops.fmin({}, {})",
    OPS["clip"]: "Math.min(Math.max({}, {}), {})",
    OPS["nan_to_num"]: "Ops.nanToNum({}, {nan}, {posinf}, {neginf})",
    ops.mod: "Ops.mod({}, {})",
    ops.floor_divide: "Ops.floorDivide({}, {})",
    ops.floor: "Math.floor({})",
    ops.ceil: "Math.ceil({})",
    ops.trunc: "Math.trunc({})",
    ops.round: "Ops.round({}, {decimals})",
    expressions.isnan: "Number.isNaN({})",
    expressions.isfinite: "Number.isFinite({})",
}
