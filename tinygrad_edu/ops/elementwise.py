"""Ops that act on each entry: arithmetic, exponentials, activations.

One declaration each: name, symbol, forward for floats, forward for arrays, then ∂L/∂input for
every input, given g = ∂L/∂y. At a kink the derivative is PyTorch's convention, stated there.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from tinygrad_edu.errors import UnknownNameError
from tinygrad_edu.ops.declare import Op, elementwise

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
# Two rules are not the textbook's where x is 0. Where p is 0 too, the derivative by x is 0, and
# p * x**(p - 1) would be 0 * inf: hence a base of 1 there. The derivative by p is taken as 0, where
# y * log(x) would be 0 * -inf: hence x + (x == 0).
power: Op = elementwise(
    "power",
    "**",
    math.pow,
    np.power,
    lambda g, y, x, p: g * p * power(x + ((x == 0) & (p == 0)), p - 1),
    lambda g, y, x, p: g * y * log(x + (x == 0)),
    doc="x ** p entry by entry, broadcasting. nan for a negative x and a fractional p.",
)

# Exponentials and roots

exp: Op = elementwise("exp", "exp", math.exp, np.exp, lambda g, y, x: g * y, doc="eˣ.")
log: Op = elementwise(
    "log", "log", math.log, np.log, lambda g, y, x: g / x, doc="The natural logarithm of x."
)
sqrt: Op = elementwise(
    "sqrt", "sqrt", math.sqrt, np.sqrt, lambda g, y, x: g / (2 * y), doc="The square root of x."
)
_erf_of_objects = np.frompyfunc(math.erf, 1, 1)


def _erf(x: Any) -> Any:
    # NumPy has no erf. Python's is exact to the last bit or two, and the loop is in C.
    return np.asarray(_erf_of_objects(x), dtype=np.result_type(x, 0.0))


erf: Op = elementwise(
    "erf",
    "erf",
    math.erf,
    _erf,
    lambda g, y, x: g * (2 / math.sqrt(math.pi)) * exp(-x * x),
    doc="The error function, 2/√π ∫₀ˣ exp(-t²) dt.",
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
where: Op = elementwise(
    "where",
    "where",
    lambda condition, a, b: a if condition else b,
    np.where,
    None,
    lambda g, y, condition, a, b: where(condition, g, 0.0),
    lambda g, y, condition, a, b: where(condition, 0.0, g),
    doc="a where the condition holds, else b, broadcasting. The condition is a constant.",
)

# Activations


def _sigmoid_of_float(x: float) -> float:
    # exp of -|x| cannot overflow.
    z = math.exp(-math.fabs(x))
    return (1.0 if x >= 0 else z) / (1.0 + z)


def _sigmoid(x: Any) -> Any:
    z = np.exp(np.copysign(x, -1.0))  # -|x|, also where x is of an unsigned dtype
    return np.where(x >= 0, 1.0, z) / (1.0 + z)


sigmoid: Op = elementwise(
    "sigmoid",
    "sigmoid",
    _sigmoid_of_float,
    _sigmoid,
    lambda g, y, x: g * y * (1 - y),
    doc="1 / (1 + exp(-x)), without overflow.",
)
tanh: Op = elementwise(
    "tanh", "tanh", math.tanh, np.tanh, lambda g, y, x: g * (1 - y * y), doc="tanh x."
)
# relu'(0) = 0
relu: Op = elementwise(
    "relu",
    "relu",
    lambda x: 0.0 if x < 0 else x,
    lambda x: np.maximum(x, 0),
    lambda g, y, x: where(x > 0, g, 0.0),
    doc="max(x, 0). Source: Nair and Hinton, 2010.",
)
# At 0 the derivative is that of the left side.
leaky_relu: Op = elementwise(
    "leaky_relu",
    "leaky_relu",
    lambda x, negative_slope=0.01: x if x > 0 else negative_slope * x,
    lambda x, negative_slope=0.01: np.where(x > 0, x, negative_slope * x),
    lambda g, y, x, negative_slope: where(x > 0, g, negative_slope * g),
    doc="x for x > 0, else negative_slope * x. Source: Maas, Hannun and Ng, 2013.",
)
silu: Op = elementwise(
    "silu",
    "silu",
    lambda x: x * _sigmoid_of_float(x),
    lambda x: x * _sigmoid(x),
    lambda g, y, x: g * (y + sigmoid(x) * (1 - y)),
    doc="x * sigmoid(x), also called swish. Source: Hendrycks and Gimpel, 2016.",
)

_NORMAL_PEAK = 1 / math.sqrt(2 * math.pi)  # the standard normal density at 0
_TANH_SCALE = math.sqrt(2 / math.pi)
_TANH_CUBE = 0.044715


def _normal_cdf(x: Any) -> Any:
    return 0.5 * (1 + erf(x * math.sqrt(0.5)))


def _gelu(x: Any, approximate: str = "none") -> Any:
    if approximate == "none":
        return x * _normal_cdf(x)
    if approximate == "tanh":
        return 0.5 * x * (1 + tanh(_TANH_SCALE * x * (1 + _TANH_CUBE * x * x)))
    raise UnknownNameError("approximation of gelu", approximate, ["none", "tanh"])


def _gelu_rule(g: Any, y: Any, x: Any, approximate: str) -> Any:
    if approximate == "none":  # Φ(x) + x φ(x)
        return g * (_normal_cdf(x) + x * _NORMAL_PEAK * exp(-0.5 * x * x))
    t = tanh(_TANH_SCALE * x * (1 + _TANH_CUBE * x * x))
    slope = _TANH_SCALE * (1 + 3 * _TANH_CUBE * x * x)
    return g * 0.5 * (1 + t + x * (1 - t * t) * slope)


gelu: Op = elementwise(
    "gelu",
    "gelu",
    _gelu,
    _gelu,
    _gelu_rule,
    doc="""x Φ(x), with Φ the standard normal distribution function.

    ``approximate="tanh"`` is 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³))). Source: Hendrycks and
    Gimpel, 2016.
    """,
)
