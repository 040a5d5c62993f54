"""Linear: every output is a weighted sum of every input."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

import tinygrad_edu as tg
from nn import init, random
from nn.errors import ConfigurationError
from nn.layers.activation import activation_function
from nn.module import Module, Parameter


class Linear(Module):
    """y = x Wᵀ + b.

    Args:
        in_features: the length of the last axis of x.
        out_features: the length of the last axis of y.
        bias: whether there is a b.
        nonlinearity: the activation that follows, which sets the scale of the initial weights:
            He's for the relu family, Glorot's for the others. It is not applied here.
        dtype: the dtype of the parameters.
        rng: where the initial weights come from; the shared generator by default.

    Attributes:
        weight: W, ``(out_features, in_features)``.
        bias: b, ``(out_features,)``, zeros at first; or None.

    Raises:
        ConfigurationError: a size is not a positive integer.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        nonlinearity: str = "linear",
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        for name, size in (("in_features", in_features), ("out_features", out_features)):
            if not isinstance(size, int | np.integer) or size < 1:
                raise ConfigurationError(
                    f"Linear's {name} must be a positive integer, not {size!r}"
                )
        activation_function(nonlinearity)
        self.in_features, self.out_features = int(in_features), int(out_features)
        shape = (self.out_features, self.in_features)
        weight = init.for_activation(
            nonlinearity, self.in_features, self.out_features, shape, random.generator(rng)
        )
        self.weight = Parameter(weight.astype(dtype))
        self.bias = Parameter(np.zeros(self.out_features, dtype)) if bias else None

    def forward(self, x: Any) -> Any:
        """``(..., in_features)`` to ``(..., out_features)``."""
        return tg.linear(x, self.weight, self.bias)

    def _extra_repr(self) -> str:
        return f"{self.in_features} -> {self.out_features}"
