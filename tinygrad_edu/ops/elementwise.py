"""Ops that act on each entry: arithmetic, exponentials, trigonometry, clipping, rounding.

One declaration each: name, symbol, forward for floats, forward for arrays, then ∂L/∂input for
every input, given g = ∂L/∂y. At a kink the derivative is PyTorch's convention, stated there.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from tinygrad_edu.errors import OperandError
from tinygrad_edu.graph import Node
from tinygrad_edu.ops import error_function
from tinygrad_edu.ops.declare import NUMPY_FUNCTIONS, Op, composite, elementwise


def _of_floats(function: Any) -> Any:
    """A NumPy function as the forward for floats, where the math module has none like it."""
    return lambda *numbers: float(function(*numbers))


# Arithmetic

add: Op = elementwise(
    "add",
    "+",
    operator.add,
    np.add,
    lambda g, y, a, b: g,
    lambda g, y, a, b: g,
    doc="a + b, broadcasting.",
)
subtract: Op = elementwise(
    "subtract",
    "-",
    operator.sub,
    np.subtract,
    lambda g, y, a, b: g,
    lambda g, y, a, b: -g,
    doc="a - b, broadcasting.",
)
multiply: Op = elementwise(
    "multiply",
    "×",
    operator.mul,
    np.multiply,
    lambda g, y, a, b: g * b,
    lambda g, y, a, b: g * a,
    doc="a * b entry by entry, broadcasting.",
)
divide: Op = elementwise(
    "divide",
    "/",
    operator.truediv,
    np.divide,
    lambda g, y, a, b: g / b,
    lambda g, y, a, b: -g * y / b,
    doc="a / b entry by entry, broadcasting. As in IEEE arithmetic, 1 / 0 is inf.",
)
negative: Op = elementwise(
    "negative", "neg", operator.neg, np.negative, lambda g, y, x: -g, doc="-x entry by entry."
)
positive: Op = elementwise(
    "positive", "pos", operator.pos, np.positive, lambda g, y, x: g, doc="+x: a copy of x."
)
for _identity in (np.conjugate, np.real, np.real_if_close):  # all numbers here are real
    NUMPY_FUNCTIONS[_identity] = positive
reciprocal: Op = elementwise(
    "reciprocal",
    "1/",
    lambda x: 1.0 / x,
    np.reciprocal,
    lambda g, y, x: -g * y * y,
    doc="1 / x entry by entry.",
)
square: Op = elementwise(
    "square", "²", lambda x: x * x, np.square, lambda g, y, x: 2 * g * x, doc="x² entry by entry."
)


# Two rules are not the textbook's where x is 0. Where p is 0 too, the derivative by x is 0, and
# p * x**(p - 1) would be 0 * inf: hence a base of 1 there. The derivative by p is taken as 0, where
# y * log(x) would be 0 * -inf: hence x + (x == 0).
def _power_by_base(g: Any, y: Any, x: Any, p: Any) -> Any:
    return g * p * power(x + ((x == 0) & (p == 0)), p - 1)


def _power_by_exponent(g: Any, y: Any, x: Any, p: Any) -> Any:
    return g * y * log(x + (x == 0))


power: Op = elementwise(
    "power",
    "**",
    math.pow,
    np.power,
    _power_by_base,
    _power_by_exponent,
    doc="x ** p entry by entry, broadcasting. nan for a negative x and a fractional p.",
)
float_power: Op = elementwise(
    "float_power",
    "**",
    math.pow,
    np.float_power,
    _power_by_base,
    _power_by_exponent,
    doc="x ** p in float64 or more, whatever the dtypes, broadcasting.",
)

# The quotient rounded down, and what remains, which has the sign of b: a = (a // b) b + a % b.
floor_divide: Op = elementwise(
    "floor_divide",
    "//",
    operator.floordiv,
    np.floor_divide,
    None,
    None,
    doc="floor(a / b), broadcasting; constant almost everywhere, so no gradient flows through it.",
)
# At the jumps, where b divides a, the derivative is that of either side.
mod: Op = elementwise(
    "mod",
    "%",
    operator.mod,
    np.remainder,
    lambda g, y, a, b: g,
    lambda g, y, a, b: -g * floor_divide(a, b),
    doc="a - b floor(a / b), the remainder with the sign of b, broadcasting.",
)
fmod: Op = elementwise(
    "fmod",
    "fmod",
    math.fmod,
    np.fmod,
    lambda g, y, a, b: g,
    lambda g, y, a, b: -g * trunc(a / b),
    doc="a - b trunc(a / b), the remainder with the sign of a, broadcasting.",
)


@composite(numpy=np.divmod)
def divmod(a: Any, b: Any) -> tuple[Any, Any]:
    """``(a // b, a % b)``, broadcasting."""
    return floor_divide(a, b), mod(a, b)


# Exponentials and roots

_LN_2 = math.log(2.0)
_LN_10 = math.log(10.0)

exp: Op = elementwise("exp", "exp", math.exp, np.exp, lambda g, y, x: g * y, doc="eˣ.")
exp2: Op = elementwise("exp2", "exp2", math.exp2, np.exp2, lambda g, y, x: g * y * _LN_2, doc="2ˣ.")
# Not y + 1, which has no correct digit left where x is far below 0.
expm1: Op = elementwise(
    "expm1",
    "expm1",
    math.expm1,
    np.expm1,
    lambda g, y, x: g * exp(x),
    doc="eˣ - 1, exact near 0 too.",
)
log: Op = elementwise(
    "log", "log", math.log, np.log, lambda g, y, x: g / x, doc="The natural logarithm of x."
)
log2: Op = elementwise(
    "log2",
    "log2",
    math.log2,
    np.log2,
    lambda g, y, x: g / (x * _LN_2),
    doc="The logarithm of x to base 2.",
)
log10: Op = elementwise(
    "log10",
    "log10",
    math.log10,
    np.log10,
    lambda g, y, x: g / (x * _LN_10),
    doc="The logarithm of x to base 10.",
)
log1p: Op = elementwise(
    "log1p",
    "log1p",
    math.log1p,
    np.log1p,
    lambda g, y, x: g / (1 + x),
    doc="log(1 + x), exact near 0 too.",
)
# ∂y/∂a = eᵃ / (eᵃ + eᵇ) = exp(a - y), in which nothing overflows, since a <= y.
logaddexp: Op = elementwise(
    "logaddexp",
    "logaddexp",
    _of_floats(np.logaddexp),
    np.logaddexp,
    lambda g, y, a, b: g * exp(a - y),
    lambda g, y, a, b: g * exp(b - y),
    doc="log(eᵃ + eᵇ), without overflow, broadcasting.",
)
logaddexp2: Op = elementwise(
    "logaddexp2",
    "logaddexp2",
    _of_floats(np.logaddexp2),
    np.logaddexp2,
    lambda g, y, a, b: g * exp2(a - y),
    lambda g, y, a, b: g * exp2(b - y),
    doc="log2(2ᵃ + 2ᵇ), without overflow, broadcasting.",
)
# The slope of a root at 0 is infinite, and inf is what the rule gives there.
sqrt: Op = elementwise(
    "sqrt", "sqrt", math.sqrt, np.sqrt, lambda g, y, x: g / (2 * y), doc="The square root of x."
)
cbrt: Op = elementwise(
    "cbrt",
    "cbrt",
    math.cbrt,
    np.cbrt,
    lambda g, y, x: g / (3 * y * y),
    doc="The cube root of x, which is negative for a negative x.",
)
# The gradient is (a, b) / y: a unit vector, and 0 at the origin, as for every norm. That is what
# y + (y == 0) is for. Nothing is squared, so that nothing overflows.
hypot: Op = elementwise(
    "hypot",
    "hypot",
    math.hypot,
    np.hypot,
    lambda g, y, a, b: g * (a / (y + (y == 0))),
    lambda g, y, a, b: g * (b / (y + (y == 0))),
    doc="√(a² + b²), without overflow, broadcasting. At the origin the gradient is 0.",
)
erf: Op = elementwise(
    "erf",
    "erf",
    math.erf,
    error_function.erf,
    # Beyond 30 it is 0 to the last digit, and the square of x may overflow float16.
    lambda g, y, x: g * (2 / math.sqrt(math.pi)) * exp(-square(minimum(abs(x), 30))),
    doc="The error function, 2/√π ∫₀ˣ exp(-t²) dt.",
)

# Trigonometry

sin: Op = elementwise("sin", "sin", math.sin, np.sin, lambda g, y, x: g * cos(x), doc="sin x.")
cos: Op = elementwise("cos", "cos", math.cos, np.cos, lambda g, y, x: -g * sin(x), doc="cos x.")
tan: Op = elementwise("tan", "tan", math.tan, np.tan, lambda g, y, x: g * (1 + y * y), doc="tan x.")
# (1 - x)(1 + x) rather than 1 - x², which loses digits near ±1; at ±1 the slope is infinite.
arcsin: Op = elementwise(
    "arcsin",
    "arcsin",
    math.asin,
    np.arcsin,
    lambda g, y, x: g / sqrt((1 - x) * (1 + x)),
    doc="The angle in [-π/2, π/2] whose sine is x.",
)
arccos: Op = elementwise(
    "arccos",
    "arccos",
    math.acos,
    np.arccos,
    lambda g, y, x: -g / sqrt((1 - x) * (1 + x)),
    doc="The angle in [0, π] whose cosine is x.",
)
arctan: Op = elementwise(
    "arctan",
    "arctan",
    math.atan,
    np.arctan,
    lambda g, y, x: g / (1 + x * x),
    doc="The angle in [-π/2, π/2] whose tangent is x.",
)


def _per_length(a: Any, b: Any) -> Any:
    # a / (a² + b²) without squares, which overflow; 0 at the origin.
    length = hypot(a, b)
    divisor = length + (length == 0)
    return a / divisor / divisor


# At the origin, where the angle jumps, the derivative is 0.
arctan2: Op = elementwise(
    "arctan2",
    "arctan2",
    math.atan2,
    np.arctan2,
    lambda g, y, a, b: g * _per_length(b, a),
    lambda g, y, a, b: -g * _per_length(a, b),
    doc="The angle in [-π, π] of the point with the ordinate a and the abscissa b, broadcasting.",
)
deg2rad: Op = elementwise(
    "deg2rad",
    "deg2rad",
    math.radians,
    np.deg2rad,
    lambda g, y, x: g * (math.pi / 180),
    doc="An angle in degrees, in radians: x π / 180.",
)
rad2deg: Op = elementwise(
    "rad2deg",
    "rad2deg",
    math.degrees,
    np.rad2deg,
    lambda g, y, x: g * (180 / math.pi),
    doc="An angle in radians, in degrees: x 180 / π.",
)
NUMPY_FUNCTIONS[np.radians] = deg2rad
NUMPY_FUNCTIONS[np.degrees] = rad2deg

# Hyperbolic functions

sinh: Op = elementwise(
    "sinh", "sinh", math.sinh, np.sinh, lambda g, y, x: g * cosh(x), doc="sinh x."
)
cosh: Op = elementwise(
    "cosh", "cosh", math.cosh, np.cosh, lambda g, y, x: g * sinh(x), doc="cosh x."
)
tanh: Op = elementwise(
    "tanh", "tanh", math.tanh, np.tanh, lambda g, y, x: g * (1 - y * y), doc="tanh x."
)
# hypot(x, 1) is √(x² + 1) without the square, which overflows.
arcsinh: Op = elementwise(
    "arcsinh",
    "arcsinh",
    math.asinh,
    np.arcsinh,
    lambda g, y, x: g / hypot(x, 1.0),
    doc="The number whose hyperbolic sine is x.",
)
# Two roots rather than that of x² - 1, which loses digits near 1 and overflows.
arccosh: Op = elementwise(
    "arccosh",
    "arccosh",
    math.acosh,
    np.arccosh,
    lambda g, y, x: g / (sqrt(x - 1) * sqrt(x + 1)),
    doc="The number of at least 0 whose hyperbolic cosine is x; nan for x < 1.",
)
arctanh: Op = elementwise(
    "arctanh",
    "arctanh",
    math.atanh,
    np.arctanh,
    lambda g, y, x: g / ((1 - x) * (1 + x)),
    doc="The number whose hyperbolic tangent is x; nan where |x| > 1.",
)

# sin(πx) / (πx), and its derivatives


def _sinc_derivative(x: Any, order: int = 1) -> Any:
    # With z = πx and f(z) = sin(z) / z, the n-th derivative by x is πⁿ f⁽ⁿ⁾(z). Differentiating
    # z f = sin z n times gives z f⁽ⁿ⁾ + n f⁽ⁿ⁻¹⁾ = sin(z + nπ/2), from which they follow one after
    # the other. Each step divides rounding errors by z / n: where |z| is not above n, the Taylor
    # series is summed instead.
    exact = np.asarray(math.pi * x)
    # The terms of the series grow before they shrink: half precision would keep no digit.
    z = exact.astype(np.result_type(exact, np.float32))
    near = np.abs(z) <= order + 1
    far_z, near_z = np.where(near, 1, z), np.where(near, z, 0)
    sine, cosine = np.sin(far_z), np.cos(far_z)
    far = sine / far_z
    for n in range(1, order + 1):
        far = ((sine, cosine, -sine, -cosine)[n % 4] - n * far) / far_z
    # f⁽ⁿ⁾(z) = Σ (-1)ᵏ zᵐ / (m! (2k + 1)) over m = 2k - n >= 0, by Horner's scheme in z².
    series, squared = np.zeros_like(z), near_z * near_z
    # Beyond this power a term is below 1e-20, for z up to n + 1.
    for m in range(30 + 4 * order + order % 2, -1, -2):
        sign = -1 if (m + order) // 2 % 2 else 1
        series = series * squared + sign / (math.factorial(m) * (m + order + 1))
    if order % 2:
        series = series * near_z
    return (np.where(near, series, far) * math.pi**order).astype(exact.dtype)


# cos(πx) / x - sin(πx) / (πx²) would lose its digits near 0, and the derivative of that all of
# them. So the derivatives of sinc are an op too, whose derivative is the next one.
sinc: Op = elementwise(
    "sinc",
    "sinc",
    lambda x: math.sin(math.pi * x) / (math.pi * x) if x else 1.0,
    np.sinc,
    lambda g, y, x: g * sinc_derivative(x, 1),
    doc="sin(πx) / (πx), and 1 at 0.",
)
sinc_derivative: Op = elementwise(
    "sinc_derivative",
    "sinc′",
    lambda x, order=1: float(_sinc_derivative(x, order)),
    _sinc_derivative,
    lambda g, y, x, order: g * sinc_derivative(x, order + 1),
    doc="The derivative of sinc, of the given order.",
)

# Kinked: the derivative at the kink is a convention

# |x|' = sign(x), which is 0 at 0.
abs: Op = elementwise(
    "abs", "abs", operator.abs, np.absolute, lambda g, y, x: g * sign(x), doc="|x|."
)
sign: Op = elementwise(
    "sign",
    "sign",
    lambda x: math.copysign(1.0, x) if x < 0 or x > 0 else x,  # 0 and nan stay
    np.sign,
    None,
    doc="-1, 0 or 1; constant almost everywhere, so no gradient flows through it.",
)
NUMPY_FUNCTIONS[np.fabs] = abs
copysign: Op = elementwise(
    "copysign",
    "copysign",
    math.copysign,
    np.copysign,
    lambda g, y, a, b: g * sign(a) * copysign(1.0, b),
    None,
    doc="|a| with the sign of b, -0.0 being negative, broadcasting.",
)
heaviside: Op = elementwise(
    "heaviside",
    "heaviside",
    _of_floats(np.heaviside),
    np.heaviside,
    None,
    lambda g, y, x, at_zero: where(x == 0, g, 0.0),
    doc="0 where x is negative, 1 where it is positive, and at 0 the other operand.",
)


def _share(winner: Any, tie: Any, g: Any) -> Any:
    # Where a == b the two share the gradient evenly.
    return where(winner, g, where(tie, 0.5 * g, 0.0))


def _maximum(a: float, b: float) -> float:
    return a if a >= b or a != a else b  # a nan on either side wins, as in NumPy


def _minimum(a: float, b: float) -> float:
    return a if a <= b or a != a else b


maximum: Op = elementwise(
    "maximum",
    "max",
    _maximum,
    np.maximum,
    lambda g, y, a, b: _share(a > b, a == b, g),
    lambda g, y, a, b: _share(b > a, a == b, g),
    doc="The larger of a and b, broadcasting. At a tie each gets half of the gradient.",
)
minimum: Op = elementwise(
    "minimum",
    "min",
    _minimum,
    np.minimum,
    lambda g, y, a, b: _share(a < b, a == b, g),
    lambda g, y, a, b: _share(b < a, a == b, g),
    doc="The smaller of a and b, broadcasting. At a tie each gets half of the gradient.",
)
# A nan loses to a number: b != b where b is nan.
fmax: Op = elementwise(
    "fmax",
    "fmax",
    _of_floats(np.fmax),
    np.fmax,
    lambda g, y, a, b: _share((a > b) | (b != b), a == b, g),
    lambda g, y, a, b: _share((b > a) | (a != a), a == b, g),
    doc="maximum, but a number wins over nan. At a tie each gets half of the gradient.",
)
fmin: Op = elementwise(
    "fmin",
    "fmin",
    _of_floats(np.fmin),
    np.fmin,
    lambda g, y, a, b: _share((a < b) | (b != b), a == b, g),
    lambda g, y, a, b: _share((b < a) | (a != a), a == b, g),
    doc="minimum, but a number wins over nan. At a tie each gets half of the gradient.",
)


def _clip_arrays(a: Any, lo: Any, hi: Any) -> Any:
    # An infinite bound is none: it must not make floats of integers.
    above = lo.__class__ is float and lo == -math.inf
    below = hi.__class__ is float and hi == math.inf
    if above and below:
        return np.array(a)
    return np.clip(a, None if above else lo, None if below else hi)


# On a bound the gradient still flows to a. Where lo > hi, the result is hi.
_clip: Op = elementwise(
    "clip",
    "clip",
    lambda a, lo, hi: _minimum(_maximum(a, lo), hi),
    _clip_arrays,
    lambda g, y, a, lo, hi: where((a >= lo) & (a <= hi), g, 0.0),
    lambda g, y, a, lo, hi: where((a < lo) & (lo <= hi), g, 0.0),
    lambda g, y, a, lo, hi: where((a > hi) | (lo > hi), g, 0.0),
)


@composite(numpy=np.clip)
def clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    """a where it is within the bounds, else the bound that it exceeds, broadcasting.

    The gradient flows to a within the bounds and on them, and elsewhere to the bound, if that is
    a node.

    Args:
        a: any shape.
        a_min: the lower bound; None for none.
        a_max: the upper bound; None for none. It wins where the lower one is larger.
        min: another name of ``a_min``.
        max: another name of ``a_max``.

    Raises:
        OperandError: a bound is given under both of its names.
        ShapeError: the shapes do not broadcast.
    """
    if (a_min is not None and min is not None) or (a_max is not None and max is not None):
        raise OperandError("clip takes each bound once: a_min or min, and a_max or max")
    lo, hi = (min if a_min is None else a_min), (max if a_max is None else a_max)
    return _clip(a, -math.inf if lo is None else lo, math.inf if hi is None else hi)


# For fewer entries np.where is as fast.
_LARGE = 1024
# The whole numbers that are as wide as a float.
_AS_WIDE = {np.dtype(f"f{size}"): np.dtype(f"i{size}") for size in (2, 4, 8)}


def select(condition: Any, a: Any, b: Any) -> Any:
    """``np.where``, in a fraction of its time for large arrays of floats.

    np.where decides at every entry, and the processor guesses half of that wrong. Taken as whole
    numbers, whose differences wrap around and lose no bit, entries are b + (a - b) * condition.
    """
    array = a if isinstance(a, np.ndarray) else b
    if not isinstance(condition, np.ndarray) or condition.size < _LARGE:
        return np.where(condition, a, b)
    whole = _AS_WIDE.get(array.dtype) if isinstance(array, np.ndarray) else None
    if whole is None or condition.dtype.kind != "b" or condition.shape != array.shape:
        return np.where(condition, a, b)
    if b.__class__ is float and b == 0 and math.copysign(1, b) > 0:  # most often it is
        return (a.view(whole) * condition).view(array.dtype)
    for x in (a, b):
        alike = isinstance(x, np.ndarray) and (x.dtype, x.shape) == (array.dtype, array.shape)
        if not alike and x.__class__ not in (float, int):
            return np.where(condition, a, b)
    a, b = (np.asarray(x, array.dtype).view(whole) for x in (a, b))
    if not a.ndim and a == 0:
        bits = b * ~condition
    else:
        bits = a - b
        bits *= condition
        bits += b
    return bits.view(array.dtype)


where: Op = elementwise(
    "where",
    "where",
    lambda condition, a, b: a if condition else b,
    select,
    None,
    lambda g, y, condition, a, b: where(condition, g, 0.0),
    lambda g, y, condition, a, b: where(condition, 0.0, g),
    doc="a where the condition holds, else b, broadcasting. The condition is a constant.",
)
NUMPY_FUNCTIONS[np.where] = where

# Questions: the answer is a bool, or an ndarray of them, and no node


def _answer(question: Any, x: Any) -> Any:
    found = question(x.data if isinstance(x, Node) else x)
    return bool(found) if isinstance(found, np.generic) else found


@composite(numpy=np.isnan)
def isnan(x: Any) -> Any:
    """Whether each entry is nan: a bool, or an ndarray of them."""
    return _answer(np.isnan, x)


@composite(numpy=np.isinf)
def isinf(x: Any) -> Any:
    """Whether each entry is inf or -inf: a bool, or an ndarray of them."""
    return _answer(np.isinf, x)


@composite(numpy=np.isfinite)
def isfinite(x: Any) -> Any:
    """Whether each entry is neither infinite nor nan: a bool, or an ndarray of them."""
    return _answer(np.isfinite, x)


def _nan_to_num(
    x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Any:
    return np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)


_nan_to_num_op: Op = elementwise(
    "nan_to_num",
    "nan_to_num",
    lambda x, **options: float(_nan_to_num(x, **options)),
    _nan_to_num,
    lambda g, y, x, nan, posinf, neginf: where(isfinite(x), g, 0.0),
)


@composite(numpy=np.nan_to_num)
def nan_to_num(
    x: Any,
    copy: bool = True,
    nan: float = 0.0,
    posinf: float | None = None,
    neginf: float | None = None,
) -> Any:
    """x with numbers in the place of nan and of infinities, through which no gradient flows.

    Args:
        x: any shape.
        copy: what NumPy has here; must be True.
        nan: what stands for nan.
        posinf: what stands for inf; the largest number of the dtype if None.
        neginf: what stands for -inf; the smallest number of the dtype if None.

    Raises:
        OperandError: ``copy`` is not True.
    """
    if copy is not True:
        raise OperandError(
            f"nan_to_num returns a new array and takes copy=True only, not {copy!r}; other options"
            " go by name, as in nan_to_num(x, nan=0.0)"
        )
    return _nan_to_num_op(x, nan=nan, posinf=posinf, neginf=neginf)


# Steps: constant almost everywhere, so no gradient flows through them

floor: Op = elementwise(
    "floor",
    "floor",
    _of_floats(np.floor),
    np.floor,
    None,
    doc="The largest integer of at most x. No gradient flows through it.",
)
ceil: Op = elementwise(
    "ceil",
    "ceil",
    _of_floats(np.ceil),
    np.ceil,
    None,
    doc="The smallest integer of at least x. No gradient flows through it.",
)
trunc: Op = elementwise(
    "trunc",
    "trunc",
    _of_floats(np.trunc),
    np.trunc,
    None,
    doc="x without what follows the decimal point. No gradient flows through it.",
)
round: Op = elementwise(
    "round",
    "round",
    lambda x, decimals=0: float(np.round(x, decimals)),
    lambda x, decimals=0: np.round(x, decimals),
    None,
    doc="""x to ``decimals`` decimals, halves to the even neighbour; no gradient flows through it.

    ``decimals=-2`` rounds to hundreds.
    """,
)
NUMPY_FUNCTIONS[np.fix] = trunc
for _rounding in (np.round, np.around, np.rint):
    NUMPY_FUNCTIONS[_rounding] = round
