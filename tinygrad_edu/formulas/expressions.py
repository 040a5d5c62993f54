"""Expressions, and the laws of arithmetic that make them short.

An expression is a name, a number, or a ``Call`` of an op on expressions. Two sets of laws: those
that hold in floating point apply to every expression as it is put together; those that hold of real
numbers only, where roundings and overflow are left aside, apply to what people read.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.ops import elementwise as ops
from tinygrad_edu.ops.declare import Op
from tinygrad_edu.ops.shape import broadcast_to, reshape

Expression = Any  # str | float | bool | Call; a union with a recursive member helps no reader


class Call(NamedTuple):
    """An op with what it is applied to."""

    op: Op
    inputs: tuple[Expression, ...]
    attrs: tuple[tuple[str, Any], ...] = ()


# The attributes of the op swapaxes where it transposes matrices.
TRANSPOSE = (("axis1", -2), ("axis2", -1))

# Questions, which are no ops of the library: its comparisons answer about the data.


def _question(name: str, symbol: str, on_floats: Any, on_arrays: Any) -> Op:
    return Op(name, symbol, on_floats, on_arrays, (None,) * on_arrays.nin)


equal = _question("equal", "=", operator.eq, np.equal)
not_equal = _question("not_equal", "≠", operator.ne, np.not_equal)
less = _question("less", "<", operator.lt, np.less)
less_equal = _question("less_equal", "≤", operator.le, np.less_equal)
greater = _question("greater", ">", operator.gt, np.greater)
greater_equal = _question("greater_equal", "≥", operator.ge, np.greater_equal)
both = _question("both", "∧", lambda a, b: bool(a and b), np.logical_and)
either = _question("either", "∨", lambda a, b: bool(a or b), np.logical_or)
negation = _question("negation", "¬", operator.not_, np.logical_not)
isnan = _question("isnan", "is nan", lambda x: x != x, np.isnan)
isfinite = _question("isfinite", "is finite", lambda x: abs(x) < np.inf, np.isfinite)
isinf = _question("isinf", "is infinite", lambda x: abs(x) == np.inf, np.isinf)

COMPARISONS = (equal, not_equal, less, less_equal, greater, greater_equal)
QUESTIONS = frozenset({*COMPARISONS, both, either, negation, isnan, isfinite, isinf})


def is_number(x: Expression) -> bool:
    """Whether an expression is a constant."""
    return x.__class__ in (float, bool)


def is_question(x: Expression) -> bool:
    """Whether an expression is true or false."""
    return x.__class__ is bool or (isinstance(x, Call) and x.op in QUESTIONS)


def call(op: Op, *inputs: Expression, attrs: tuple[tuple[str, Any], ...] = ()) -> Expression:
    """``op`` applied to expressions, simplified by what holds in floating point.

    >>> call(ops.multiply, 1.0, call(ops.negative, call(ops.negative, "x")))
    'x'
    """
    if op.on_floats is not None and all(map(is_number, inputs)):
        return _computed(op, inputs, attrs)
    law = _LAWS.get(op)
    found = None if law is None else law(*inputs)
    return Call(op, inputs, attrs) if found is None else found


def evaluate(x: Expression, numbers: Mapping[str, Any]) -> Any:
    """What an expression is for these numbers, by the ops' own forward."""
    if isinstance(x, str):
        return numbers[x]
    if isinstance(x, Call):
        return _computed(x.op, [evaluate(part, numbers) for part in x.inputs], x.attrs)
    return x


def _computed(op: Op, numbers: Any, attrs: tuple[tuple[str, Any], ...]) -> Any:
    with np.errstate(all="ignore"):
        found = op.on_plain(tuple(numbers), dict(attrs) or None)
    return float(found) if found.__class__ is int else found


def names_in(x: Expression) -> set[str]:
    """The names that an expression is over."""
    if isinstance(x, Call):
        return set().union(*map(names_in, x.inputs))
    return {x} if isinstance(x, str) else set()


def size(x: Expression) -> int:
    """How many names, numbers and ops an expression is written with."""
    known: dict[int, int] = {}

    def count(x: Expression) -> int:
        if not isinstance(x, Call):
            return 1
        if id(x) not in known:
            known[id(x)] = 1 + sum(map(count, x.inputs))
        return known[id(x)]

    return count(x)


# Laws that hold in floating point. Each takes the inputs of a call; None leaves it as it is.


def _minus(x: Expression) -> Expression | None:
    """What x is the negative of, if that shows."""
    if x.__class__ is float:
        return -x if x < 0 else None
    return x.inputs[0] if isinstance(x, Call) and x.op is ops.negative else None


def _negative(x: Expression) -> Expression | None:
    if isinstance(x, Call) and x.op is ops.subtract:
        return call(ops.subtract, *reversed(x.inputs))
    return _minus(x)


def _add(a: Expression, b: Expression) -> Expression | None:
    if b == 0:
        return a
    if a == 0:
        return b
    if (negated := _minus(b)) is not None:
        return call(ops.subtract, a, negated)
    return None


def _subtract(a: Expression, b: Expression) -> Expression | None:
    if b == 0:
        return a
    if a == 0:
        return call(ops.negative, b)
    if (negated := _minus(b)) is not None:
        return call(ops.add, a, negated)
    return None


def _multiply(a: Expression, b: Expression) -> Expression | None:
    if a == 1 and not is_question(b):
        return b
    if b == 1 and not is_question(a):
        return a
    if a == b:
        return call(ops.square, a)
    for x, other in ((a, b), (b, a)):
        if (negated := _minus(x)) is not None:
            factors = (negated, other) if x is a else (other, negated)
            return call(ops.negative, call(ops.multiply, *factors))
    return None


def _divide(a: Expression, b: Expression) -> Expression | None:
    if b == 1:
        return a
    if (negated := _minus(a)) is not None:
        return call(ops.negative, call(ops.divide, negated, b))
    if (negated := _minus(b)) is not None:
        return call(ops.negative, call(ops.divide, a, negated))
    return None


def _power(x: Expression, p: Expression) -> Expression | None:
    if p == 0:
        return 1.0
    if p == 1:
        return x
    return call(ops.square, x) if p == 2 else None


def _square(x: Expression) -> Expression | None:
    negated = _minus(x)
    return None if negated is None else call(ops.square, negated)


def _where(condition: Expression, a: Expression, b: Expression) -> Expression | None:
    if is_number(condition):
        return a if condition else b
    if a == b:
        return a
    settled = _settled(a, condition, True), _settled(b, condition, False)
    return None if settled == (a, b) else call(ops.where, condition, *settled)


def _settled(x: Expression, condition: Expression, holds: bool) -> Expression:
    """x where it is known whether a condition holds."""
    if not isinstance(x, Call):
        return x
    if x.op is ops.where and x.inputs[0] == condition:
        return _settled(x.inputs[1 if holds else 2], condition, holds)
    return call(x.op, *(_settled(part, condition, holds) for part in x.inputs), attrs=x.attrs)


def _both(a: Expression, b: Expression) -> Expression | None:
    if is_number(a) or is_number(b):
        known, other = (a, b) if is_number(a) else (b, a)
        return other if known else False
    return a if a == b else None


def _either(a: Expression, b: Expression) -> Expression | None:
    if is_number(a) or is_number(b):
        known, other = (a, b) if is_number(a) else (b, a)
        return True if known else other
    return a if a == b else None


_LAWS: dict[Op, Callable[..., Expression | None]] = {
    ops.positive: lambda x: x,
    ops.negative: _negative,
    ops.add: _add,
    ops.subtract: _subtract,
    ops.multiply: _multiply,
    ops.divide: _divide,
    ops.power: _power,
    ops.float_power: lambda x, p: call(ops.power, x, p),
    ops.square: _square,
    ops.where: _where,
    not_equal: lambda a, b: Call(isnan, (a,)) if a == b else None,
    both: _both,
    either: _either,
}


# Laws of real numbers, for reading


def guards(x: Expression) -> Iterator[Expression]:
    """The conditions under which something is added only to keep 0 / 0 or log 0 away."""
    if isinstance(x, Call):
        for part in x.inputs:
            yield from guards(part)
        if x.op is ops.add and _is_guard(*x.inputs):
            yield x.inputs[1]


def _is_guard(x: Expression, condition: Expression) -> bool:
    """Whether x + condition is x, or 1 where x is 0."""
    if not isinstance(condition, Call):
        return False
    if condition.op is both:
        return any(_is_guard(x, part) for part in condition.inputs)
    return condition.op is equal and condition.inputs == (x, 0.0)


def readable(x: Expression, keep_guards: bool = False) -> Expression:
    """An expression as people write it.

    Factors are collected, ``a / b / b`` is ``a / b²``, a where with a zero is a factor 0 or 1; and,
    unless ``keep_guards``, ``x + (x == 0)`` is ``x``.
    """
    if not isinstance(x, Call):
        return x
    inputs = [readable(part, keep_guards) for part in x.inputs]
    if x.op is ops.add and not keep_guards and _is_guard(*x.inputs):
        return inputs[0]
    law = _LAWS_OF_REALS.get(x.op)
    return call(x.op, *inputs, attrs=x.attrs) if law is None else law(*inputs)


def _fraction(x: Expression) -> Expression:
    """A product or quotient as one fraction, its numbers and its sign in front."""
    sign, above, below = _factors(x)
    number, divisor = _number_in(above), _number_in(below)
    if divisor not in (0, 1) and number % divisor == 0:  # 2 a / 2 is a
        above = [number / divisor, *(factor for factor in above if factor.__class__ is not float)]
        below = [factor for factor in below if factor.__class__ is not float]
    result = call(ops.divide, _collected(above), _collected(below))
    return call(ops.negative, result) if sign < 0 else result


def _factors(x: Expression) -> tuple[int, list[Expression], list[Expression]]:
    """The sign of x, the factors above the line of its fraction, and those below."""
    if isinstance(x, Call) and x.op is ops.negative:
        sign, above, below = _factors(x.inputs[0])
        return -sign, above, below
    if isinstance(x, Call) and x.op in (ops.multiply, ops.divide, ops.square):
        parts = [_factors(part) for part in (x.inputs if x.op is not ops.square else 2 * x.inputs)]
        (sign, above, below), (other_sign, other_above, other_below) = parts
        if x.op is ops.divide:
            other_above, other_below = other_below, other_above
        return sign * other_sign, above + other_above, below + other_below
    return 1, [x], []


def _collected(factors: list[Expression]) -> Expression:
    """The product of these: the numbers, then the others as they first stand, as powers."""
    others = [factor for factor in factors if factor.__class__ is not float]
    product: Expression = _number_in(factors)
    for i, factor in enumerate(others):
        if factor not in others[:i]:
            term = call(ops.power, factor, float(others.count(factor)))
            product = term if product == 1 else Call(ops.multiply, (product, term))
    return product


def _number_in(factors: list[Expression]) -> float:
    return math.prod((factor for factor in factors if factor.__class__ is float), start=1.0)


def _unshaped(x: Expression) -> Expression:
    return x.inputs[0] if isinstance(x, Call) and x.op is reshape else x


def _zero_or_one(condition: Expression, a: Expression, b: Expression) -> Expression:
    if b == 0 and a.__class__ is not bool:
        return _fraction(Call(ops.multiply, (a, as_question(condition))))
    if a == 0 and b.__class__ is not bool:
        return _fraction(Call(ops.multiply, (b, opposite(condition))))
    return call(ops.where, condition, a, b)


def as_question(x: Expression) -> Expression:
    """x as a condition: a number is one that it is not 0."""
    return x if is_question(x) else Call(not_equal, (x, 0.0))


def opposite(x: Expression) -> Expression:
    """What holds where a condition does not, nan aside."""
    question = as_question(x)
    for a, b in ((equal, not_equal), (less, greater_equal), (greater, less_equal)):
        if question.op in (a, b):
            return Call(b if question.op is a else a, question.inputs)
    return question.inputs[0] if question.op is negation else Call(negation, (question,))


_LAWS_OF_REALS: dict[Op, Callable[..., Expression]] = {
    ops.multiply: lambda a, b: _fraction(Call(ops.multiply, (a, b))),
    ops.divide: lambda a, b: _fraction(Call(ops.divide, (a, b))),
    ops.reciprocal: lambda x: _fraction(Call(ops.divide, (1.0, x))),
    ops.where: _zero_or_one,
    # That an axis of length 1 comes back before it is repeated goes without saying.
    broadcast_to: lambda x: Call(broadcast_to, (_unshaped(x),)),
}
