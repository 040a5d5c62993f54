"""Expressions as text, with the signs of mathematics and no more parentheses than they need."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from tinygrad_edu.formulas.expressions import (
    COMPARISONS,
    TRANSPOSE,
    Call,
    Expression,
    as_question,
    both,
    either,
    is_question,
    negation,
)
from tinygrad_edu.ops import elementwise as ops
from tinygrad_edu.ops import reduction, shape
from tinygrad_edu.ops.declare import Op
from tinygrad_edu.ops.einsum import matmul
from tinygrad_edu.ops.indexing import getitem


class Slot(NamedTuple):
    """A place in a formula for a number, or for a name.

    Attributes:
        name: of the operand that stands here.
        parenthesised: whether a negative number needs parentheses here.
    """

    name: str
    parenthesised: bool


Part = str | Slot

# How tightly an operator binds: what binds less than its surroundings stands in parentheses.
CHOICE, EITHER, BOTH, NOT, COMPARISON, SUM, SIGN, PRODUCT, POWER, ATOM = range(10)


def parts_of(x: Expression) -> tuple[Part, ...]:
    """An expression as plain strings and slots, in turn."""
    pieces = _written(x, CHOICE)
    joined: list[Part] = []
    for i, piece in enumerate(pieces):
        if isinstance(piece, Slot):
            piece = Slot(piece.name, _needs_parentheses(pieces, i))
        elif isinstance(piece, float):
            negative = math.copysign(1, piece) < 0 and _needs_parentheses(pieces, i)
            piece = f"({_digits(piece)})" if negative else _digits(piece)
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    return tuple(joined)


_Piece = str | float | Slot  # before it is known what stands around a number


def _needs_parentheses(pieces: list[_Piece], i: int) -> bool:
    """Whether a minus sign at the start of a piece would bind or read wrongly."""
    before = pieces[i - 1] if i > 0 else ""
    after = pieces[i + 1] if i + 1 < len(pieces) else ""
    return (isinstance(before, str) and before.rstrip().endswith((*"+-·/@√^",))) or (
        isinstance(after, str) and after.startswith((*_SUPERSCRIPTS.values(), "^", "ᵀ", "["))
    )


def _written(x: Expression, level: int) -> list[_Piece]:
    """The pieces of an expression, where what surrounds it binds at ``level``."""
    pieces, own = _pieces(x)
    return pieces if own >= level else ["(", *pieces, ")"]


def _pieces(x: Expression) -> tuple[list[_Piece], int]:
    """The pieces of an expression, and how tightly it binds."""
    if is_question(x):
        return ["[", *_asked(x, CHOICE), "]"], ATOM
    if isinstance(x, str):
        return [Slot(x, False)], ATOM
    if not isinstance(x, Call):
        return [x], ATOM
    notation = _NOTATIONS.get(x.op)
    return _function(x) if notation is None else notation(x)


# Conditions


def _asked(x: Expression, level: int) -> list[_Piece]:
    pieces, own = _question_pieces(as_question(x))
    return pieces if own >= level else ["(", *pieces, ")"]


def _question_pieces(x: Expression) -> tuple[list[_Piece], int]:
    if x.__class__ is bool:
        return ["true" if x else "false"], ATOM
    if x.op in COMPARISONS:
        a, b = x.inputs
        return [*_written(a, SUM), f" {x.op.symbol} ", *_written(b, SUM)], COMPARISON
    if x.op is negation:
        return ["¬", *_asked(x.inputs[0], ATOM)], NOT
    if x.op in (both, either):
        own = BOTH if x.op is both else EITHER
        a, b = x.inputs
        return [*_asked(a, own), f" {x.op.symbol} ", *_asked(b, own)], own
    return [*_written(x.inputs[0], SUM), f" {x.op.symbol}"], COMPARISON


# Notations


def _function(x: Call) -> tuple[list[_Piece], int]:
    options: list[_Piece] = [
        f"{name}={value!r}"
        for name, value in x.attrs
        if name not in ("shape", "keepdims") and value != x.op.defaults.get(name)
    ]
    name = x.op.symbol if x.op in _CALLED_BY_SYMBOL else _FUNCTION_NAMES.get(x.op, x.op.name)
    arguments = [_written(part, CHOICE) for part in x.inputs] + [[option] for option in options]
    separated = [piece for argument in arguments for piece in (", ", *argument)][1:]
    return [f"{name}(", *separated, ")"], ATOM


def _infix(sign: str, own: int, after: int) -> Callable[[Call], tuple[list[_Piece], int]]:
    """The notation of an operator between two operands, of which the second binds ``after``."""

    def notation(x: Call) -> tuple[list[_Piece], int]:
        a, b = x.inputs
        return [*_factor(x.op, a, own), f" {sign} ", *_factor(x.op, b, after)], own

    return notation


def _factor(op: Op, x: Expression, level: int) -> list[_Piece]:
    # a · b @ c would leave the reader to guess.
    mixed = isinstance(x, Call) and (x.op is matmul) != (op is matmul)
    return _written(x, POWER if mixed and level == PRODUCT else level)


def _negative(x: Call) -> tuple[list[_Piece], int]:
    return ["-", *_written(x.inputs[0], PRODUCT)], SIGN


def _square(x: Call) -> tuple[list[_Piece], int]:
    return _power(Call(ops.power, (x.inputs[0], 2.0)))


def _power(x: Call) -> tuple[list[_Piece], int]:
    base, exponent = x.inputs
    if exponent.__class__ is float and exponent.is_integer() and math.fabs(exponent) < 100:
        raised = "".join(_SUPERSCRIPTS[digit] for digit in str(int(exponent)))
        return [*_written(base, ATOM), raised], POWER
    return [*_written(base, ATOM), "^", *_written(exponent, ATOM)], POWER


def _root(x: Call) -> tuple[list[_Piece], int]:
    return ["√", *_written(x.inputs[0], ATOM)], POWER


def _between(left: str, right: str) -> Callable[[Call], tuple[list[_Piece], int]]:
    def notation(x: Call) -> tuple[list[_Piece], int]:
        inside = _written(x.inputs[0], CHOICE)
        if any(isinstance(piece, str) and left in piece for piece in inside):
            return _function(x)
        return [left, *inside, right], ATOM

    return notation


def _floor_divide(x: Call) -> tuple[list[_Piece], int]:
    return ["⌊", *_written(Call(ops.divide, x.inputs), CHOICE), "⌋"], ATOM


def _where(x: Call) -> tuple[list[_Piece], int]:
    condition, a, b = x.inputs
    written = [*_written(a, SUM), " if ", *_asked(condition, EITHER), " else "]
    return [*written, *_written(b, CHOICE)], CHOICE


def _transpose(x: Call) -> tuple[list[_Piece], int]:
    if x.attrs in ((("axes", None),), TRANSPOSE):
        return [*_written(x.inputs[0], ATOM), "ᵀ"], ATOM
    return _function(x)


def _getitem(x: Call) -> tuple[list[_Piece], int]:
    index = dict(x.attrs)["index"]
    places = index if isinstance(index, tuple) else (index,)
    return [*_written(x.inputs[0], ATOM), f"[{', '.join(map(_place, places))}]"], ATOM


def _place(place: object) -> str:
    if isinstance(place, slice):
        bounds = (place.start, place.stop, *(() if place.step is None else (place.step,)))
        return ":".join("" if bound is None else str(bound) for bound in bounds)
    return "..." if place is ... else str(place)


_NOTATIONS: dict[Op, Callable[[Call], tuple[list[_Piece], int]]] = {
    ops.add: _infix("+", SUM, SUM),
    ops.subtract: _infix("-", SUM, PRODUCT),
    ops.multiply: _infix("·", PRODUCT, PRODUCT),
    ops.divide: _infix("/", PRODUCT, POWER),
    matmul: _infix("@", PRODUCT, PRODUCT),
    ops.negative: _negative,
    ops.square: _square,
    ops.power: _power,
    ops.sqrt: _root,
    ops.abs: _between("|", "|"),
    ops.floor: _between("⌊", "⌋"),
    ops.ceil: _between("⌈", "⌉"),
    ops.floor_divide: _floor_divide,
    ops.where: _where,
    shape.transpose: _transpose,
    shape.swapaxes: _transpose,
    getitem: _getitem,
}

_FUNCTION_NAMES = {shape.broadcast_to: "broadcast"}
_CALLED_BY_SYMBOL = frozenset(
    {reduction.sum, ops.maximum, ops.minimum, ops.sinc_derivative, reduction.prod}
)

# Numbers

_SUPERSCRIPTS = dict(zip("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹", strict=True))
_CONSTANTS = {math.pi: "π", math.log(2): "log(2)", math.log(10): "log(10)", math.inf: "∞"}


def _digits(x: float) -> str:
    """A constant of a formula, to six digits."""
    name = _CONSTANTS.get(math.fabs(x))
    if name is not None:
        return f"-{name}" if x < 0 else name
    return str(int(x)) if x.is_integer() and math.fabs(x) < 1e6 else f"{x:.6g}"
