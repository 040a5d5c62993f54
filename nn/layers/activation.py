"""Activation functions as modules for Sequential, and by name for neurons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

import tinygrad_edu as tg
from nn import functional as f
from nn.checks import check_integer
from nn.errors import ConfigurationError
from nn.layers.function import Function
from nn.module import Module, Parameter


class Activation(Function):
    """A function of each entry of any shape, and of Values. At a kink its slope is PyTorch's."""

    def __post_init__(self) -> None:
        self.forward(0.0)  # raises now what is wrong with the options


def _itself(x: Any) -> Any:
    return x


class Identity(Activation, of=_itself):
    """x itself."""


class Sigmoid(Activation, of=f.sigmoid):
    """1 / (1 + exp(-x))."""


class Tanh(Activation, of=f.tanh):
    """tanh x."""


class Softsign(Activation, of=f.softsign):
    """x / (1 + |x|)."""


class Softplus(Activation, of=f.softplus):
    """log(1 + exp(beta x)) / beta, a smooth relu."""

    beta: float = 1.0


class LogSigmoid(Activation, of=f.logsigmoid):
    """log(1 / (1 + exp(-x)))."""


class ReLU(Activation, of=f.relu):
    """max(x, 0)."""


class ReLU6(Activation, of=f.relu6):
    """min(max(x, 0), 6)."""


class LeakyReLU(Activation, of=f.leaky_relu):
    """x for x > 0, else negative_slope * x."""

    negative_slope: float = 0.01


class ELU(Activation, of=f.elu):
    """x for x > 0, else alpha (exp(x) - 1)."""

    alpha: float = 1.0


class CELU(Activation, of=f.celu):
    """x for x > 0, else alpha (exp(x / alpha) - 1)."""

    alpha: float = 1.0


class SELU(Activation, of=f.selu):
    """1.0507 x for x > 0, else 1.7581 (exp(x) - 1): mean 0 and variance 1 stay through layers."""


class GELU(Activation, of=f.gelu):
    """x Φ(x), exact, or by tanh with ``approximate="tanh"``."""

    approximate: str = "none"


class SiLU(Activation, of=f.silu):
    """x * sigmoid(x)."""


class Mish(Activation, of=f.mish):
    """x * tanh(log(1 + exp(x)))."""


class Hardswish(Activation, of=f.hardswish):
    """x * min(max(x / 6 + 1/2, 0), 1)."""


class Hardsigmoid(Activation, of=f.hardsigmoid):
    """min(max(x / 6 + 1/2, 0), 1)."""


class Hardtanh(Activation, of=f.hardtanh):
    """x, but at least ``min_val`` and at most ``max_val``."""

    min_val: float = -1.0
    max_val: float = 1.0

    def __post_init__(self) -> None:
        if not self.min_val < self.max_val:
            raise ConfigurationError(
                f"Hardtanh's min_val must be less than its max_val, not {self.min_val!r} and"
                f" {self.max_val!r}"
            )


class Tanhshrink(Activation, of=f.tanhshrink):
    """x - tanh(x)."""


class Softshrink(Activation, of=f.softshrink):
    """x moved towards 0 by ``lambd``, and 0 where it would pass it."""

    lambd: float = 0.5


class Hardshrink(Activation, of=f.hardshrink):
    """x, and 0 from ``-lambd`` to ``lambd``."""

    lambd: float = 0.5


class Threshold(Activation, of=f.threshold):
    """x where it is above ``threshold``, else ``value``."""

    threshold: float
    value: float


# Along an axis.


class Softmax(Function):
    """exp(x) / Σ exp(x), the sum over the axis ``dim``."""

    dim: int = -1

    def forward(self, x: Any) -> Any:
        """Any shape, kept."""
        return f.softmax(x, self.dim)


class Softmin(Function):
    """exp(-x) / Σ exp(-x), the sum over the axis ``dim``."""

    dim: int = -1

    def forward(self, x: Any) -> Any:
        """Any shape, kept."""
        return f.softmin(x, self.dim)


class LogSoftmax(Function):
    """x - log Σ exp(x), the sum over the axis ``dim``."""

    dim: int = -1

    def forward(self, x: Any) -> Any:
        """Any shape, kept."""
        return f.log_softmax(x, self.dim)


class GLU(Function):
    """a * sigmoid(b), with a and b the halves of x along the axis ``dim``."""

    dim: int = -1

    def forward(self, x: Any) -> Any:
        """``(..., 2 n, ...)`` to ``(..., n, ...)``."""
        return f.glu(x, self.dim)


class PReLU(Module):
    """x for x > 0, else weight * x, with a weight that is learned.

    Source: He et al., 2015, "Delving deep into rectifiers".

    Args:
        num_parameters: 1, or the number of channels, for a weight of each.
        init: what the weights are at first.
        dtype: the dtype of the weights.

    Attributes:
        weight: ``(num_parameters,)``.

    Raises:
        ConfigurationError: ``num_parameters`` is not a positive integer.
    """

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, *, dtype: DTypeLike = np.float32
    ) -> None:
        self.num_parameters = check_integer("PReLU's num_parameters", num_parameters)
        self.weight = Parameter(np.full(self.num_parameters, init, dtype))

    def forward(self, x: Any) -> Any:
        """``(N, C, ...)``, kept; any shape with one parameter."""
        return f.prelu(x, self.weight)

    def _extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


# What a neuron's or a layer's ``activation="..."`` may be.
_MODULES: dict[str, type[Activation]] = {
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "elu": ELU,
    "celu": CELU,
    "selu": SELU,
    "gelu": GELU,
    "silu": SiLU,
    "mish": Mish,
    "relu6": ReLU6,
    "softplus": Softplus,
    "softsign": Softsign,
    "logsigmoid": LogSigmoid,
    "hardtanh": Hardtanh,
    "hardsigmoid": Hardsigmoid,
    "hardswish": Hardswish,
    "tanhshrink": Tanhshrink,
    "softshrink": Softshrink,
    "hardshrink": Hardshrink,
    "linear": Identity,
}
ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    name: module.function for name, module in _MODULES.items()
}


def activation_function(name: str) -> Callable[[Any], Any]:
    """The activation function of that name.

    Raises:
        UnknownNameError: there is none; the message lists the known ones.
    """
    if name not in ACTIVATIONS:
        raise tg.UnknownNameError("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]


def activation_module(name: str) -> Module:
    """A new module that applies the activation function of that name."""
    activation_function(name)
    return _MODULES[name]()


def activation_name(module: Module) -> str | None:
    """The name of the activation function that a module applies; None if it has none."""
    for name, kind in _MODULES.items():
        if isinstance(module, Function) and module.is_like(kind()):
            return name
    return None
