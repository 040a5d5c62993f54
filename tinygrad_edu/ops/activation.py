"""Activations: the functions that a neuron's sum is put through.

Each is one op, as in ``elementwise``. At a kink the derivative is PyTorch's convention.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu.errors import UnknownNameError
from tinygrad_edu.ops.declare import Op, composite, elementwise
from tinygrad_edu.ops.elementwise import abs, clip, erf, exp, select, tanh, where
from tinygrad_edu.ops.error_function import compiled_gelu_slope, normal_cdf

# Sigmoid and its relatives


def _sigmoid_of_float(x: float) -> float:
    # exp of -|x| cannot overflow.
    z = math.exp(-math.fabs(x))
    return (1.0 if x >= 0 else z) / (1.0 + z)


def _sigmoid(x: Any) -> Any:
    z = np.exp(np.copysign(x, -1.0))  # -|x|, also where x is of an unsigned dtype
    return select(x >= 0, 1.0, z) / (1.0 + z)


sigmoid: Op = elementwise(
    "sigmoid",
    "sigmoid",
    _sigmoid_of_float,
    _sigmoid,
    lambda g, y, x: g * y * (1 - y),
    doc="1 / (1 + exp(-x)), without overflow.",
)
silu: Op = elementwise(
    "silu",
    "silu",
    lambda x: x * _sigmoid_of_float(x),
    lambda x: x * _sigmoid(x),
    lambda g, y, x: g * (y + sigmoid(x) * (1 - y)),
    doc="x * sigmoid(x), also called swish. Source: Hendrycks and Gimpel, 2016.",
)


def _softplus_of_float(x: float) -> float:
    return (x if x > 0 else 0.0) + math.log1p(math.exp(-math.fabs(x)))


softplus: Op = elementwise(
    "softplus",
    "softplus",
    _softplus_of_float,
    lambda x: np.logaddexp(x, 0),
    lambda g, y, x: g * sigmoid(x),
    doc="log(1 + eˣ), without overflow: a smooth relu. Source: Dugas et al., 2001.",
)


def _mish_rule(g: Any, y: Any, x: Any) -> Any:
    t = tanh(softplus(x))
    return g * (t + x * sigmoid(x) * (1 - t * t))


mish: Op = elementwise(
    "mish",
    "mish",
    lambda x: x * math.tanh(_softplus_of_float(x)),
    lambda x: x * np.tanh(np.logaddexp(x, 0)),
    _mish_rule,
    doc="x tanh(softplus(x)). Source: Misra, 2019.",
)
softsign: Op = elementwise(
    "softsign",
    "softsign",
    lambda x: x / (1.0 + math.fabs(x)),
    lambda x: x / (1.0 + np.abs(x)),
    lambda g, y, x: g / (1 + abs(x)) / (1 + abs(x)),  # the square overflows float16 at 256
    doc="x / (1 + |x|). Source: Bergstra et al., 2009.",
)

_NORMAL_PEAK = 1 / math.sqrt(2 * math.pi)  # the standard normal density at 0
_TANH_SCALE = math.sqrt(2 / math.pi)
_TANH_CUBE = 0.044715
_TAIL = 40  # beyond it Φ is 0 or 1 to the last digit, and the square may overflow float16


def _normal_cdf(x: Any) -> Any:
    if x.__class__ is np.ndarray:
        return normal_cdf(x)  # the same in one pass
    return 0.5 * (1 + erf(x * math.sqrt(0.5)))


def _gelu(x: Any, approximate: str = "none") -> Any:
    if approximate == "none":
        return x * _normal_cdf(x)
    if approximate == "tanh":
        near = clip(x, -_TAIL, _TAIL)
        return 0.5 * x * (1 + tanh(_TANH_SCALE * near * (1 + _TANH_CUBE * near * near)))
    raise UnknownNameError("approximation of gelu", approximate, ["none", "tanh"])


def _gelu_slope(x: Any) -> Any:
    compiled = compiled_gelu_slope(x) if x.__class__ is np.ndarray else None
    if compiled is not None:
        return compiled
    x = clip(x, -_TAIL, _TAIL)
    return _normal_cdf(x) + x * _NORMAL_PEAK * exp(-0.5 * x * x)  # Φ(x) + x φ(x)


def _gelu_rule(g: Any, y: Any, x: Any, approximate: str) -> Any:
    if approximate == "none":
        return g * _gelu_slope(x)
    x = clip(x, -_TAIL, _TAIL)
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

# Kinked: the derivative at the kink is a convention

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
    lambda x, negative_slope=0.01: select(x > 0, x, negative_slope * x),
    lambda g, y, x, negative_slope: where(x > 0, g, negative_slope * g),
    doc="x for x > 0, else negative_slope * x. Source: Maas, Hannun and Ng, 2013.",
)
# At 0 the derivative is that of the left side, alpha. There it is eˣ alpha = y + alpha; written
# with y it cannot overflow on the right, where it is not used.
elu: Op = elementwise(
    "elu",
    "elu",
    lambda x, alpha=1.0: x if x > 0 else alpha * math.expm1(x),
    lambda x, alpha=1.0: select(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
    lambda g, y, x, alpha: where(x > 0, g, g * (y + alpha)),
    doc="x for x > 0, else alpha (eˣ - 1). Source: Clevert, Unterthiner and Hochreiter, 2016.",
)

# The pair for which zero mean and unit variance are a fixed point of the layers.
_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805


@composite()
def selu(x: Any) -> Any:
    """``1.0507 elu(x, alpha=1.6733)``: activations keep mean 0 and variance 1 through layers.

    Source: Klambauer et al., 2017, "Self-Normalizing Neural Networks".
    """
    return _SELU_SCALE * elu(x, _SELU_ALPHA)


# On either bound the derivative is 0.
hardtanh: Op = elementwise(
    "hardtanh",
    "hardtanh",
    lambda x, min_val=-1.0, max_val=1.0: min_val if x < min_val else max_val if x > max_val else x,
    lambda x, min_val=-1.0, max_val=1.0: np.clip(x, min_val, max_val),
    lambda g, y, x, min_val, max_val: where((x > min_val) & (x < max_val), g, 0.0),
    doc="x, but at least ``min_val`` and at most ``max_val``. Source: Collobert, 2004.",
)


@composite()
def relu6(x: Any) -> Any:
    """``min(max(x, 0), 6)``. Source: Howard et al., 2017, "MobileNets"."""
    return hardtanh(x, 0.0, 6.0)


# At -3 and 3 the derivative is that of the outer side, 0 and 1.
hardswish: Op = elementwise(
    "hardswish",
    "hardswish",
    lambda x: x * min(max(x + 3.0, 0.0), 6.0) / 6.0,
    lambda x: x * np.clip(x + 3, 0, 6) / 6,
    lambda g, y, x: where(x <= -3, 0.0, where(x < 3, g * (x / 3 + 0.5), g)),
    doc='x relu6(x + 3) / 6. Source: Howard et al., 2019, "Searching for MobileNetV3".',
)
