"""Activation functions, by name for neurons and as modules for Sequential."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tinygrad_edu as tg
from nn.module import Module


def _identity(x: Any) -> Any:
    return x


# What a neuron's or a layer's ``activation="..."`` may be.
ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "sigmoid": tg.sigmoid,
    "tanh": tg.tanh,
    "relu": tg.relu,
    "leaky_relu": tg.leaky_relu,
    "gelu": tg.gelu,
    "silu": tg.silu,
    "linear": _identity,
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


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, x: Any) -> Any:
        """Any shape, kept."""
        return tg.sigmoid(x)


class Tanh(Module):
    """tanh x."""

    def forward(self, x: Any) -> Any:
        """Any shape, kept."""
        return tg.tanh(x)


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x: Any) -> Any:
        """Any shape, kept."""
        return tg.relu(x)


class LeakyReLU(Module):
    """x for x > 0, else negative_slope * x."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Any) -> Any:
        """Any shape, kept."""
        return tg.leaky_relu(x, self.negative_slope)

    def _extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class GELU(Module):
    """x Φ(x), exact, or by tanh with ``approximate="tanh"``."""

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise tg.UnknownNameError("approximation of gelu", approximate, ["none", "tanh"])
        self.approximate = approximate

    def forward(self, x: Any) -> Any:
        """Any shape, kept."""
        return tg.gelu(x, self.approximate)

    def _extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """x * sigmoid(x)."""

    def forward(self, x: Any) -> Any:
        """Any shape, kept."""
        return tg.silu(x)


class Identity(Module):
    """x itself."""

    def forward(self, x: Any) -> Any:
        """Any shape, kept."""
        return x


_MODULES: dict[str, type[Module]] = {
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "gelu": GELU,
    "silu": SiLU,
    "linear": Identity,
}
