"""Where each elementwise op is smooth: what to draw its operands from.

A domain is a union of intervals. Poles, kinks and jumps lie in the gaps between them, so that a
small step never reaches one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise, product
from typing import Any

import numpy as np

from tinygrad_edu.ops.declare import Op
from tinygrad_edu.testing.differences import derivative

Domain = tuple[tuple[float, float], ...]

ANYWHERE: Domain = ((-2.0, 2.0),)
POSITIVE: Domain = ((0.5, 2.0),)
NONZERO: Domain = ((-2.0, -0.5), (0.5, 2.0))
KINK_AT_0: Domain = ((-2.0, -0.1), (0.1, 2.0))
KINKS_AT_1: Domain = ((-2.0, -1.1), (-0.9, 0.9), (1.1, 2.0))
INSIDE_1: Domain = ((-0.8, 0.8),)
BETWEEN_INTEGERS: Domain = ((-1.9, -1.1), (-0.9, -0.1), (0.1, 0.9), (1.1, 1.9))
BETWEEN_HALVES: Domain = ((-1.4, -0.6), (-0.4, 0.4), (0.6, 1.4))

# No number of the one is in the other, and either can be the larger.
LEFT: Domain = ((-2.0, -1.1), (0.1, 0.9))
RIGHT: Domain = ((-0.9, -0.1), (1.1, 2.0))
# Quotients between integers, of all combinations of signs.
DIVIDEND: Domain = ((-2.8, -2.2), (-0.9, -0.1), (0.1, 0.9), (2.2, 2.8))
DIVISOR: Domain = ((-1.05, -1.0), (1.0, 1.05))

# One domain per input; an op that is not here takes any number.
DOMAINS: dict[str, tuple[Domain, ...]] = {
    "divide": (ANYWHERE, NONZERO),
    "reciprocal": (NONZERO,),
    "power": (POSITIVE, ANYWHERE),
    "float_power": (POSITIVE, ANYWHERE),
    "copysign": (NONZERO, NONZERO),
    "heaviside": (NONZERO, ANYWHERE),
    "floor_divide": (DIVIDEND, DIVISOR),
    "mod": (DIVIDEND, DIVISOR),
    "fmod": (DIVIDEND, DIVISOR),
    "log": (POSITIVE,),
    "log2": (POSITIVE,),
    "log10": (POSITIVE,),
    "log1p": (((-0.5, 2.0),),),
    "sqrt": (POSITIVE,),
    "cbrt": (NONZERO,),
    "hypot": (NONZERO, NONZERO),
    "tan": (((-1.0, 1.0),),),
    "arcsin": (INSIDE_1,),
    "arccos": (INSIDE_1,),
    "arctan2": (NONZERO, NONZERO),
    "arccosh": (((1.5, 3.0),),),
    "arctanh": (INSIDE_1,),
    "abs": (KINK_AT_0,),
    "sign": (KINK_AT_0,),
    "maximum": (LEFT, RIGHT),
    "minimum": (LEFT, RIGHT),
    "fmax": (LEFT, RIGHT),
    "fmin": (LEFT, RIGHT),
    "clip": (KINKS_AT_1, ((-1.05, -0.95),), ((0.95, 1.05),)),
    "where": (((0.0, 0.0), (1.0, 1.0)), ANYWHERE, ANYWHERE),
    "floor": (BETWEEN_INTEGERS,),
    "ceil": (BETWEEN_INTEGERS,),
    "trunc": (BETWEEN_INTEGERS,),
    "round": (BETWEEN_HALVES,),
    "bernoulli_loss": (((0.1, 0.9),), ((0.1, 0.9),)),
    "softsign": (KINK_AT_0,),
    "relu": (KINK_AT_0,),
    "leaky_relu": (KINK_AT_0,),
    "elu": (KINK_AT_0,),
    "hardtanh": (KINKS_AT_1,),
    "hardswish": (((-4.0, -3.1), (-2.9, 2.9), (3.1, 4.0)),),
}


def domains_of(op: Op) -> tuple[Domain, ...]:
    """One domain per input of ``op``: the numbers at which it is smooth.

    >>> from tinygrad_edu.ops.elementwise import divide
    >>> domains_of(divide)
    (((-2.0, 2.0),), ((-2.0, -0.5), (0.5, 2.0)))
    """
    return DOMAINS.get(op.name, (ANYWHERE,) * op.arity)


# Looking for the domain of an op that is not in the table.

GRID = np.arange(-4.0, 4.125, 0.125)
MARGIN = 1 / 32
# What the other operands are meanwhile: of both signs, and no round numbers.
ELSEWHERE = (0.7, 1.3, -0.6, -1.2)


def smooth_domains(f: Callable[..., Any], arity: int) -> tuple[Domain, ...]:
    """One domain per input of a function of numbers, found by evaluating it.

    >>> smooth_domains(lambda x: np.sqrt(x - 1), 1)
    (((1.15625, 3.96875),),)
    """
    return tuple(_smooth_domain(f, arity, i) for i in range(arity))


def _smooth_domain(f: Callable[..., Any], arity: int, i: int) -> Domain:
    """Where ``f`` is smooth in its input i, for most values of the others that allow any at all."""
    found = []
    for others in product(ELSEWHERE, repeat=arity - 1):

        def along(x: float, others: tuple[float, ...] = others) -> float:
            return _number(f, (*others[:i], x, *others[i:]))

        found.append(_smooth_cells(along))
    possible = [cells for cells in found if cells.any()]
    if not possible:
        return ANYWHERE
    smooth = np.mean(possible, axis=0) > 0.5
    edges = np.flatnonzero(np.diff([False, *smooth, False]))
    intervals = [
        (float(GRID[start]) + MARGIN, float(GRID[stop]) - MARGIN)
        for start, stop in edges.reshape(-1, 2)
    ]
    return tuple(intervals) or ANYWHERE


def _smooth_cells(f: Callable[[float], float]) -> Any:
    """Which intervals between neighbours of the grid a function is smooth in.

    There it is the cubic that has its values and slopes at both ends, nearly; a kink, a jump or a
    pole in between is far from it. Nothing is near to nan, which stands for no value.
    """
    ends = [(x, f(x), _slope(f, x)) for x in GRID]
    smooth = []
    for (a, fa, da), (b, fb, db) in pairwise(ends):
        h = b - a
        cubic = (fa + fb) / 2 + h * (da - db) / 8
        size = max(abs(fa), abs(fb), h * abs(da), h * abs(db))
        smooth.append(size < math.inf and abs(f((a + b) / 2) - cubic) <= 1e-3 * size)
    return np.array(smooth)


def _slope(f: Callable[[float], float], x: float) -> float:
    estimate = derivative(lambda t: f(x + t), 1.0)
    return math.nan if estimate.sides is not None else estimate.slope


def _number(f: Callable[..., Any], inputs: tuple[float, ...]) -> float:
    """f, and nan where it raises."""
    try:
        with np.errstate(all="ignore"):
            return float(f(*map(np.float64, inputs)))
    except Exception:  # whatever it is, the function has no value there
        return math.nan
