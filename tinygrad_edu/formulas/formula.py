"""A formula of a derivative rule, and what reads it off the rule."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from tinygrad_edu.errors import OperandError, UnknownNameError
from tinygrad_edu.formulas import expressions
from tinygrad_edu.formulas.expressions import Call, Expression
from tinygrad_edu.formulas.javascript import javascript_of, traced
from tinygrad_edu.formulas.symbols import Shape, Symbol
from tinygrad_edu.formulas.text import Part, parts_of
from tinygrad_edu.ops.declare import Op


@dataclass(frozen=True)
class Formula:
    """What a derivative rule computes.

    As text it is what holds of real numbers: factors are collected, and the ``x + (x == 0)`` that
    keeps 0 / 0 out of a rule is ``x``. Evaluated, or as JavaScript, it is all that the rule is.

    Args:
        expression: what the rule returned for symbols.
        operands: the names of the op's inputs, in order; ``y`` is its result, and ``g`` is ∂L/∂y.
    """

    expression: Expression
    operands: tuple[str, ...]

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The text as plain strings and ``Slot``s, where names or numbers go.

        >>> from tinygrad_edu import multiply
        >>> gradient_formula(multiply, 0).parts
        (Slot(name='g', parenthesised=False), ' · ', Slot(name='b', parenthesised=True))
        """
        return parts_of(expressions.readable(self.expression))

    def text(self, names: Mapping[str, str] | None = None) -> str:
        """The formula as text.

        Args:
            names: what to write for ``g``, ``y`` or an operand, each something that needs no
                parentheses; what is not in it goes by its own name.

        >>> from tinygrad_edu import multiply
        >>> gradient_formula(multiply, 0).text({"g": "∂L/∂y", "b": "w"})
        '∂L/∂y · w'
        """
        names = names or {}
        return "".join(p if isinstance(p, str) else names.get(p.name, p.name) for p in self.parts)

    def __str__(self) -> str:
        return self.text()

    def with_numbers(self, numbers: Mapping[str, float | str]) -> str:
        """The text with numbers in it, the negative ones in parentheses where they need them.

        Args:
            numbers: by ``g``, ``y`` and the operands' names; a string is a number already written.
                What is not in it stays a name.

        >>> from tinygrad_edu import multiply, tanh
        >>> gradient_formula(multiply, 0).with_numbers({"g": 0.5, "b": -3})
        '0.5 · (-3)'
        >>> derivative_formula(tanh, 0).with_numbers({"y": "-0.50"})
        '1 - (-0.50)²'
        """
        return "".join(
            p if isinstance(p, str) else _number(p.name, p.parenthesised, numbers)
            for p in self._parts_at(numbers)
        )

    def _parts_at(self, numbers: Mapping[str, float | str]) -> tuple[Part, ...]:
        """The parts, with what keeps 0 / 0 out where these numbers would make it."""
        known = {name: x for name, x in numbers.items() if not isinstance(x, str)}
        for guard in expressions.guards(self.expression):
            if expressions.names_in(guard) <= known.keys() and expressions.evaluate(guard, known):
                return parts_of(expressions.readable(self.expression, keep_guards=True))
        return self.parts

    def evaluate(self, **numbers: float) -> float:
        """What it is for numbers ``g``, ``y`` and those of the operands, by their names.

        >>> from tinygrad_edu import tanh
        >>> derivative_formula(tanh, 0).evaluate(y=0.5)
        0.75
        """
        for name in expressions.names_in(self.expression):
            if name not in numbers:
                raise UnknownNameError("number for a formula", name, numbers)
        return float(expressions.evaluate(self.expression, numbers))

    @cached_property
    def _javascript(self) -> str | None:
        return javascript_of(self.expression)

    def javascript(self) -> str | None:
        """An expression of JavaScript over the variables ``g``, ``y`` and the operands' names.

        It may call ``Ops``, of ``javascript_functions()``. None if it has an op that is on arrays
        only, or that is not made of ops JavaScript has.

        >>> from tinygrad_edu import tanh
        >>> gradient_formula(tanh, 0).javascript()
        'g * (1 - y * y)'
        """
        return self._javascript


def derivative_formula(
    op: Op,
    position: int,
    attrs: Mapping[str, Any] | None = None,
    known: Sequence[float | None] = (),
) -> Formula | None:
    """∂y/∂input of an op that acts on each entry, from its derivative rule with g = 1.

    Args:
        op: any op.
        position: of the input, from 0.
        attrs: the op's attributes, such as those of a node; its defaults if not given.
        known: the inputs that are constants, None for the others: ∂(x²)/∂x is then ``2 · x``.

    Returns:
        The formula; None where no gradient flows, where the op acts on whole arrays, so that there
        is a gradient but no slope, and where the rule does more than combine ops, such as to ask
        ``if x > 0``.

    Raises:
        OperandError: the op has no such input, or needs an attribute that is not given.
        UnknownNameError: the op has no such attribute.

    >>> from tinygrad_edu import divide, power, relu, sigmoid
    >>> for op, position in ((divide, 1), (power, 0), (relu, 0), (sigmoid, 0)):
    ...     print(derivative_formula(op, position))
    -y / b
    p · x^(p - 1)
    [x > 0]
    y · (1 - y)
    >>> print(derivative_formula(power, 0, known=(None, 3.0)))
    3 · x²
    """
    if op.on_floats is None:
        _checked(op, position, attrs)
        return None
    return _formula(op, position, attrs, known, None, True)


def gradient_formula(
    op: Op,
    position: int,
    attrs: Mapping[str, Any] | None = None,
    known: Sequence[float | None] = (),
    shapes: tuple[Shape | None, ...] | None = None,
) -> Formula | None:
    """∂L/∂input of an op, from its derivative rule, with g for ∂L/∂y.

    That the entries of an input which was broadcast are added up is left out, as it is in a rule.

    Args:
        op: any op.
        position: of the input, from 0.
        attrs: the op's attributes, such as those of a node; its defaults if not given.
        known: the inputs that are constants, None for the others.
        shapes: the shape of y and of each input (None for one that is left out), for ops on arrays
            whose rule depends on them, such as ``matmul``. Without them such a rule has no formula.

    Returns:
        The formula; None where no gradient flows, and where the rule does more than combine ops.

    Raises:
        OperandError: the op has no such input, or needs an attribute that is not given.
        UnknownNameError: the op has no such attribute.

    >>> from tinygrad_edu import matmul
    >>> print(gradient_formula(matmul, 0, shapes=((2, 4), (2, 3), (3, 4))))
    g @ bᵀ
    """
    return _formula(op, position, attrs, known, shapes if op.on_floats is None else None, False)


def javascript_forward(op: Op, attrs: Mapping[str, Any] | None = None) -> str | None:
    """What an op on numbers computes, as an expression of JavaScript over ``operand_names(op)``.

    Like Python's floats here it has IEEE results: 1 / 0 is Infinity. It may call ``Ops``, of
    ``javascript_functions()``.

    Args:
        op: any op, also one of your own.
        attrs: the op's attributes, such as those of a node; its defaults if not given.

    Returns:
        The expression; None for an op on arrays only, and for one whose forward does more than
        combine ops, such as to call ``math.exp`` or to ask ``if x > 0``.

    Raises:
        OperandError: the op needs an attribute that is not given.
        UnknownNameError: the op has no such attribute.

    >>> from tinygrad_edu import leaky_relu
    >>> javascript_forward(leaky_relu, {"negative_slope": 0.2})
    'x > 0 ? x : 0.2 * x'
    """
    options = _checked(op, 0, attrs)
    if op.on_floats is None:
        return None
    return javascript_of(Call(op, tuple(operand_names(op)), tuple(options.items())))


def javascript_functions() -> str:
    """The JavaScript that defines ``Ops``, whose functions formulas and forwards call."""
    return Path(__file__).with_name("ops.js").read_text(encoding="utf-8")


def operand_names(op: Op) -> list[str]:
    """The names of an op's inputs in its formulas: the parameters of its derivative rules.

    A name that means something else in a formula or in JavaScript gets a ``_`` at its end.

    >>> from tinygrad_edu import power
    >>> operand_names(power)
    ['x', 'p']
    """
    names = list(inspect.signature(op).parameters)[: op.arity]
    return [f"{name}_" if name in _TAKEN else name for name in names]


_RESERVED_WORDS = (
    "arguments await break case catch class const continue debugger default delete do else enum"
    " eval export extends false finally for function if implements import in instanceof interface"
    " let new null package private protected public return static super switch this throw true try"
    " typeof undefined var void while with yield Infinity Math NaN Number Ops"
)
_TAKEN = frozenset(("g", "y", *_RESERVED_WORDS.split()))


def _checked(op: Op, position: int, attrs: Mapping[str, Any] | None) -> dict[str, Any]:
    """The attributes, with defaults for those that are not given."""
    if not op.variadic and not 0 <= position < op.arity:
        raise OperandError(f"{op.name} has {op.arity} inputs, and none at position {position}")
    options = {**op.defaults, **(attrs or {})}
    for name, value in options.items():
        if name not in op.defaults:
            raise UnknownNameError(f"attribute of {op.name}", name, op.defaults)
        if value is inspect.Parameter.empty:
            raise OperandError(f"{op.name} needs {name}=")
    return options


def _formula(
    op: Op,
    position: int,
    attrs: Mapping[str, Any] | None,
    known: Sequence[float | None],
    shapes: tuple[Shape | None, ...] | None,
    is_derivative: bool,
) -> Formula | None:
    options = tuple(_checked(op, position, attrs).items())
    try:
        return _remembered(op, position, options, tuple(known), shapes, is_derivative)
    except TypeError:  # an attribute that cannot be hashed, such as a list of places
        return _read_off(op, position, options, tuple(known), shapes, is_derivative)


def _read_off(
    op: Op,
    position: int,
    attrs: tuple[tuple[str, Any], ...],
    known: tuple[float | None, ...],
    shapes: tuple[Shape | None, ...] | None,
    is_derivative: bool,
) -> Formula | None:
    names = operand_names(op)
    if op.variadic:
        count = position + 1 if shapes is None else len(shapes) - 1
        names = [f"{names[0]}{i}" for i in range(count)]
    rule = op.rules_for(tuple(names))[position]
    if rule is None:
        return None
    y, *symbols = map(Symbol, ("y", *names), shapes or (None,) * (len(names) + 1))
    numbers = (*known, *[None] * (len(symbols) - len(known)))
    inputs = [x if n is None else n for x, n in zip(symbols, numbers, strict=True)]
    g = 1.0 if is_derivative else Symbol("g", y.known_shape)
    expression = traced(rule, g, y, *inputs, **dict(attrs))
    return None if expression is None else Formula(expression, tuple(names))


# Drawings ask for the same few formulas thousands of times.
_remembered = lru_cache(maxsize=4096)(_read_off)


def _number(name: str, parenthesised: bool, numbers: Mapping[str, float | str]) -> str:
    """A number in the place of a name."""
    if name not in numbers:
        return name
    x = numbers[name]
    written = x if isinstance(x, str) else repr(float(x)).removesuffix(".0")
    return f"({written})" if parenthesised and written.startswith(("-", "−")) else written
