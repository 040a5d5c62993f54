"""Derivative rules read by machine: a rule that is called with symbols answers with its formula.

The label on an arrow of a picture and the line of JavaScript in a page come from the same rule
that the backward pass runs. No op's mathematics is written twice.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np

from tinygrad_edu.graph import mode
from tinygrad_edu.operators import Operators
from tinygrad_edu.ops.declare import PYTHON_NUMBERS, Op


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in a formula for a number or a name.

    Attributes:
        name: what goes there: ``g``, ``y``, or an operand.
        parenthesised: whether a negative number needs parentheses there.
    """

    name: str
    parenthesised: bool


class Formula:
    """An expression in the gradient ``g``, the result ``y`` and the operands of an op.

    Attributes:
        parts: the formula in pieces, texts and slots.

    >>> from tinygrad_edu import tanh
    >>> formula = derivative_formula(tanh, 0)
    >>> print(formula)
    1 - y²
    >>> formula.fill(y=-0.5), formula.javascript(), formula.evaluate(y=-0.5)
    ('1 - (-0.5)²', '(1 - (y * y))', 0.75)
    """

    def __init__(self, expression: Any) -> None:
        self._expression = expression
        pieces, _ = _written(expression)
        self.parts: tuple[str | Slot, ...] = tuple(_with_parentheses(pieces))

    def fill(self, **texts: object) -> str:
        """The formula with numbers, or other texts, in its slots; what is not given stays."""
        return "".join(
            part if isinstance(part, str) else _filled(part, texts.get(part.name, part.name))
            for part in self.parts
        )

    def evaluate(self, **numbers: Any) -> Any:
        """The formula's value, by the library's own functions.

        Args:
            numbers: a number, array or node for every slot.
        """
        return _value(self._expression, numbers)

    def javascript(self) -> str | None:
        """The formula as a JavaScript expression of numbers, over the names of its slots.

        It calls the functions of ``javascript_functions``. None where that lacks one.
        """
        return _javascript(self._expression)

    def __str__(self) -> str:
        return self.fill()

    def __repr__(self) -> str:
        return f"<Formula {self}>"


def derivative_formula(
    op: Op,
    position: int,
    attrs: Mapping[str, Any] | None = None,
    known: Sequence[float | None] = (),
) -> Formula | None:
    """∂y/∂x by the operand at a position of an op: its rule with g = 1, simplified.

    Args:
        op: any op.
        position: of the operand.
        attrs: the op's options; its defaults if not given.
        known: numbers of the operands that are constants, None for others: the derivative of
            ``x ** 2`` is then ``2 · x``.

    Returns:
        The formula; None where no gradient flows, for an op on arrays only, and where the rule
        does not answer to symbols.

    >>> from tinygrad_edu import divide, power
    >>> derivative_formula(divide, 0), derivative_formula(divide, 1)
    (<Formula 1 / b>, <Formula -y / b>)
    >>> derivative_formula(power, 0, known=(None, 2.0))
    <Formula 2 · x>
    """
    return _formula(op, position, False, attrs, known)


def gradient_formula(
    op: Op,
    position: int,
    attrs: Mapping[str, Any] | None = None,
    known: Sequence[float | None] = (),
) -> Formula | None:
    """What an op's rule hands to an operand, given g = ∂L/∂y; else as ``derivative_formula``.

    Of an op on arrays only, it is None if the rule looks at shapes or at what the forward saved.

    >>> from tinygrad_edu import multiply
    >>> gradient_formula(multiply, 0)
    <Formula g · b>
    """
    return _formula(op, position, True, attrs, known)


def javascript_forward(op: Op, attrs: Mapping[str, Any] | None = None) -> str | None:
    """An op's forward on numbers as a JavaScript expression over the names of its operands.

    It calls the functions of ``javascript_functions``; an op that they lack, such as one of a
    user's own, is traced if its forward for floats takes symbols. None if neither will do.

    >>> from tinygrad_edu import leaky_relu
    >>> javascript_forward(leaky_relu)
    'ops.leaky_relu(x, 0.01)'
    """
    operands = operand_names(op)
    symbols = [_Symbol.named(name) for name in operands]
    options = {**op.defaults, **(attrs or {})}
    written = _javascript(_Symbol.of(op, tuple(symbols), options))
    if written is not None or op.on_floats is None:
        return written
    traced = _answer(op.on_floats, symbols, options)
    return None if traced is None else _javascript(traced)


def javascript_functions() -> str:
    """The JavaScript of the elementwise ops on numbers: an object ``ops`` of functions by name."""
    return (resources.files("tinygrad_edu") / "formulas.js").read_text(encoding="utf-8")


def operand_names(op: Op) -> list[str]:
    """What formulas call the operands of an op: what its derivative rules call them."""
    return list(op.__signature__.parameters)[: op.arity]


class _Symbol(Operators):
    """A node without data: operations on it are written down and not computed."""

    __slots__ = ()

    @classmethod
    def named(cls, name: str) -> _Symbol:
        return cls.of(None, (), None, name)

    @classmethod
    def of(cls, op: Any, inputs: tuple[Any, ...], attrs: Any, label: str = "") -> _Symbol:
        self = cls.__new__(cls)
        self.op, self.inputs, self.attrs, self.label = op, inputs, attrs, label
        return self

    @staticmethod
    def apply(op: Op, inputs: tuple[Any, ...], attrs: dict[str, Any] | None) -> Any:
        """Write the operation down, in the simplest of the ways that are equal."""
        simple = _simplified(op.name, inputs)
        return _Symbol.of(op, inputs, attrs) if simple is None else simple

    def __lt__(self, other: Any) -> Any:
        return _Symbol.of(_LESS, (self, other), None)

    def __le__(self, other: Any) -> Any:
        return _Symbol.of(_AT_MOST, (self, other), None)

    def __gt__(self, other: Any) -> Any:
        return _Symbol.of(_GREATER, (self, other), None)

    def __ge__(self, other: Any) -> Any:
        return _Symbol.of(_AT_LEAST, (self, other), None)

    def __eq__(self, other: object) -> Any:
        return _Symbol.of(_EQUAL, (self, other), None)

    def __ne__(self, other: object) -> Any:
        return _Symbol.of(_UNEQUAL, (self, other), None)

    def __and__(self, other: Any) -> Any:
        if isinstance(other, bool | np.bool_):
            return self if other else False
        return _Symbol.of(_AND, (self, other), None)

    def __or__(self, other: Any) -> Any:
        if isinstance(other, bool | np.bool_):
            return True if other else self
        return _Symbol.of(_OR, (self, other), None)

    __rand__, __ror__ = __and__, __or__
    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise TypeError("whether a symbol holds is not known")

    __float__ = __int__ = __bool__
    __array_ufunc__ = None  # NumPy's functions do not take one

    @property
    def data(self) -> Any:
        """There is none."""
        raise TypeError("a symbol has no data")


@dataclass(frozen=True, slots=True)
class _Relation:
    """What is written between two operands and gives a truth value; like an op, but none."""

    name: str
    text: str
    javascript: str
    function: Callable[[Any, Any], Any]


_LESS = _Relation("less", "<", "<", operator.lt)
_AT_MOST = _Relation("at_most", "≤", "<=", operator.le)
_GREATER = _Relation("greater", ">", ">", operator.gt)
_AT_LEAST = _Relation("at_least", "≥", ">=", operator.ge)
_EQUAL = _Relation("equal", "=", "===", operator.eq)
_UNEQUAL = _Relation("unequal", "≠", "!==", operator.ne)
_AND = _Relation("and", "∧", "&&", operator.and_)
_OR = _Relation("or", "∨", "||", operator.or_)


def _formula(
    op: Op,
    position: int,
    keeps_g: bool,
    attrs: Mapping[str, Any] | None,
    known: Sequence[float | None],
) -> Formula | None:
    options = tuple({**op.defaults, **(attrs or {})}.items())
    try:
        return _remembered(op, position, keeps_g, options, tuple(known))
    except TypeError:  # an option that has no hash
        return _remembered.__wrapped__(op, position, keeps_g, options, tuple(known))


@lru_cache(maxsize=4096)
def _remembered(
    op: Op,
    position: int,
    keeps_g: bool,
    options: tuple[tuple[str, Any], ...],
    known: tuple[float | None, ...],
) -> Formula | None:
    rule = None if op.variadic else op.rules[position]
    if rule is None or (op.on_floats is None and not keeps_g):  # 1 is no array
        return None
    operands: list[Any] = [_Symbol.named(name) for name in operand_names(op)]
    for i, number in enumerate(known):
        operands[i] = operands[i] if number is None else number
    g = _Symbol.named("g") if keeps_g else 1
    answer = _answer(rule, [g, _Symbol.named("y"), *operands], dict(options))
    return None if answer is None else Formula(answer)


def _answer(function: Callable[..., Any], arguments: list[Any], options: dict[str, Any]) -> Any:
    """What a function says of symbols; None if it asks for what they do not have."""
    token = mode.set((True, ""))
    try:
        answer = function(*arguments, **options)
    except Exception:  # written for numbers or arrays, it may fail on symbols in any way
        return None
    finally:
        mode.reset(token)
    return answer if isinstance(answer, _Symbol | float | int) else None


def _is(x: Any, number: float) -> bool:
    return x.__class__ in PYTHON_NUMBERS and x == number


def _simplified(name: str, inputs: tuple[Any, ...]) -> Any:
    """An equal and simpler expression, or None. Equal for every number, inf and nan included."""
    a, b = inputs if len(inputs) == 2 else (inputs[0], None)
    if name == "multiply":
        if _is(a, 1) or _is(b, 1):
            return b if _is(a, 1) else a
        if _is(a, -1) or _is(b, -1):
            return -(b if _is(a, -1) else a)  # type: ignore[operator]
        if _is_op(a, "negative"):
            return -(a.inputs[0] * b)
    elif name in ("add", "subtract") and _is(b, 0):
        return a
    elif (name == "add" and _is(a, 0)) or name == "positive":
        return b if name == "add" else a
    elif (name == "divide" and _is(b, 1)) or (name == "power" and _is(b, 1)):
        return a
    elif name == "divide" and _is_op(a, "negative"):
        return -(a.inputs[0] / b)
    elif name == "power" and _is(b, 0):
        return 1.0
    elif name == "negative" and _is_op(a, "negative"):
        return a.inputs[0]
    return None


def _is_op(x: Any, name: str) -> bool:
    return isinstance(x, _Symbol) and x.op is not None and x.op.name == name


def _value(x: Any, numbers: Mapping[str, Any]) -> Any:
    if not isinstance(x, _Symbol):
        return x
    if x.op is None:
        return numbers[x.label]
    operands = [_value(each, numbers) for each in x.inputs]
    if isinstance(x.op, _Relation):
        return x.op.function(*operands)
    return x.op(*operands, **(x.attrs or {}))


# Writing. How tightly an expression binds decides where it takes parentheses.

_CHOICE, _LOGIC, _RELATION, _SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(8)
_INFIX = {
    "add": (" + ", _SUM, _SUM, _SUM),
    "subtract": (" - ", _SUM, _SUM, _PRODUCT),
    "multiply": (" · ", _PRODUCT, _PRODUCT, _PRODUCT),
    "divide": (" / ", _PRODUCT, _PRODUCT, _SIGN),
    "matmul": (" @ ", _PRODUCT, _PRODUCT, _SIGN),
}
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_CONSTANTS = {math.pi: "π", math.e: "e", math.log(2): "ln 2", math.log(10): "ln 10"}

_Pieces = list[str | Slot]


def _written(x: Any) -> tuple[_Pieces, int]:
    """An expression in pieces, and how tightly it binds."""
    if not isinstance(x, _Symbol):
        return _number(x)
    if x.op is None:
        return [Slot(x.label, False)], _ATOM
    name, inputs = x.op.name, x.inputs
    if isinstance(x.op, _Relation):
        joins = x.op in (_AND, _OR)
        left, right = (_tight(each, _RELATION if joins else _SUM) for each in inputs)
        return [*left, f" {x.op.text} ", *right], _LOGIC if joins else _RELATION
    if name == "multiply" and inputs[0] is inputs[1]:
        return [*_tight(inputs[0], _ATOM), "²"], _POWER
    if name in _INFIX:
        sign, binds, left_binds, right_binds = _INFIX[name]
        left, right = _tight(inputs[0], left_binds), _tight(inputs[1], right_binds)
        return [*left, sign, *right], binds
    if name == "negative":
        return ["-", *_tight(inputs[0], _PRODUCT)], _SIGN
    if name == "reciprocal":
        return ["1 / ", *_tight(inputs[0], _SIGN)], _PRODUCT
    if name == "square":
        return [*_tight(inputs[0], _ATOM), "²"], _POWER
    if name in ("power", "float_power"):
        return [*_tight(inputs[0], _ATOM), *_exponent(inputs[1])], _POWER
    if name == "abs":
        return ["|", *_written(inputs[0])[0], "|"], _ATOM
    if name == "sqrt":
        return ["√", *_tight(inputs[0], _ATOM)], _POWER
    if name == "where":
        return _choice(*inputs)
    arguments: _Pieces = []
    for each in inputs:
        arguments += [", ", *_written(each)[0]]
    for option, value in (x.attrs or {}).items():
        if value != x.op.defaults.get(option):
            arguments.append(f", {option}={value}")
    return [f"{name}(", *arguments[1:], ")"], _ATOM


def _tight(x: Any, least: int) -> _Pieces:
    """An expression, in parentheses if it binds less tightly than where it stands asks for."""
    pieces, binds = _written(x)
    # A relation among numbers is 1 where it holds and 0 elsewhere: Iverson's bracket.
    if binds in (_LOGIC, _RELATION) and least >= _SUM:
        return ["[", *pieces, "]"]
    return pieces if binds >= least else ["(", *pieces, ")"]


def _exponent(p: Any) -> _Pieces:
    if isinstance(p, float | int) and p >= 0 and p == int(p):
        return [str(int(p)).translate(_SUPERSCRIPTS)]
    return ["^", *_tight(p, _ATOM)]


def _choice(condition: Any, a: Any, b: Any) -> tuple[_Pieces, int]:
    """a where the condition holds and b elsewhere."""
    holds = ["[", *_written(condition)[0], "]"]
    if _is(b, 0):
        return (holds, _ATOM) if _is(a, 1) else ([*_tight(a, _PRODUCT), " · ", *holds], _PRODUCT)
    pieces = [*_tight(a, _LOGIC), " if ", *_written(condition)[0], " else ", *_written(b)[0]]
    return pieces, _CHOICE


def _number(x: Any) -> tuple[_Pieces, int]:
    for constant, name in _CONSTANTS.items():
        if x == constant:
            return [name], _ATOM if len(name) == 1 else _PRODUCT
    text = f"{x:.6g}" if isinstance(x, float) else str(int(x))
    return [text], _SIGN if text.startswith("-") else _ATOM


def _with_parentheses(pieces: _Pieces) -> list[str | Slot]:
    """Neighbouring texts joined, and each slot told whether a negative number stands out there."""
    joined: list[str | Slot] = []
    for piece in pieces:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    for i, piece in enumerate(joined):
        if isinstance(piece, Slot):
            before = joined[i - 1] if i else ""
            after = joined[i + 1] if i + 1 < len(joined) else ""
            begins = not before or str(before).endswith(("(", "[", "|", ", ", " if ", " else "))
            raised = str(after).startswith(("^", *"⁰¹²³⁴⁵⁶⁷⁸⁹"))
            joined[i] = Slot(piece.name, raised or not begins)
    return joined


def _filled(slot: Slot, content: object) -> str:
    text = content if isinstance(content, str) else f"{content:.4g}"
    return f"({text})" if slot.parenthesised and text.startswith("-") else text


# JavaScript

_JAVASCRIPT_INFIX = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}


def _javascript(x: Any) -> str | None:
    """An expression in JavaScript, every operation in parentheses; None if it has no words."""
    if not isinstance(x, _Symbol):
        return _javascript_number(x)
    if x.op is None:
        return x.label
    operands = [_javascript(each) for each in x.inputs]
    options = [_javascript_option(value) for value in (x.attrs or {}).values()]
    if None in operands or None in options:
        return None
    name = x.op.name
    if isinstance(x.op, _Relation):
        return f"({operands[0]} {x.op.javascript} {operands[1]})"
    if name in _JAVASCRIPT_INFIX:
        return f"({operands[0]} {_JAVASCRIPT_INFIX[name]} {operands[1]})"
    if name == "negative":
        return f"(-{operands[0]})"
    if name not in _javascript_names():
        return None
    return f"ops.{name}({', '.join([*operands, *options])})"  # type: ignore[list-item]


@lru_cache(maxsize=1)
def _javascript_names() -> frozenset[str]:
    """The functions in formulas.js: each begins its line with its name and parameters."""
    lines = (line.strip() for line in javascript_functions().splitlines())
    return frozenset(line.partition("(")[0] for line in lines if line[:1].isalpha() and "(" in line)


def _javascript_number(x: Any) -> str:
    if isinstance(x, bool | np.bool_):
        return "true" if x else "false"
    if math.isfinite(x):
        return repr(float(x)) if isinstance(x, float) else str(x)
    return "NaN" if math.isnan(x) else "Infinity" if x > 0 else "-Infinity"


def _javascript_option(value: Any) -> str | None:
    if value is None:
        return "null"
    if isinstance(value, str):
        return f'"{value}"' if value.isidentifier() else None
    return _javascript_number(value) if isinstance(value, bool | float | int) else None
