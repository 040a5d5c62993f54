"""Linear: every output is a weighted sum of every input. Bilinear: of every pair of two inputs."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

import tinygrad_edu as tg
from nn import init, random
from nn.checks import check_integer
from nn.layers.activation import activation_function
from nn.layers.sizes import Lazy
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
        self.in_features = check_integer("Linear's in_features", in_features)
        self.out_features = check_integer("Linear's out_features", out_features)
        activation_function(nonlinearity)
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


class LazyLinear(Lazy):
    """A ``Linear`` that takes its ``in_features`` from the first batch.

    >>> import nn, numpy as np
    >>> model = nn.Sequential(nn.Flatten(), nn.LazyLinear(10))
    >>> y = model(np.ones((1, 2, 4, 4), np.float32))
    >>> model[1]
    Linear(32 -> 10)  weight (10, 32), bias (10,): 330
    """

    def __init__(
        self,
        out_features: int,
        bias: bool = True,
        *,
        nonlinearity: str = "linear",
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        make = partial(
            Linear, out_features=out_features, bias=bias, nonlinearity=nonlinearity, dtype=dtype
        )
        make(1, rng=np.random.default_rng(0))  # raises now what is wrong with the options
        self._wait(partial(make, rng=rng), axis=-1)


class Bilinear(Module):
    """y[k] = x1ᵀ A[k] x2 + b[k].

    Args:
        in1_features: the length of the last axis of x1.
        in2_features: the length of the last axis of x2.
        out_features: the length of the last axis of y.
        bias: whether there is a b.
        nonlinearity: the activation that follows, as for ``Linear``.
        dtype: the dtype of the parameters.
        rng: where the initial weights come from; the shared generator by default.

    Attributes:
        weight: A, ``(out_features, in1_features, in2_features)``.
        bias: b, ``(out_features,)``, zeros at first; or None.

    Raises:
        ConfigurationError: a size is not a positive integer.
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        *,
        nonlinearity: str = "linear",
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.in1_features = check_integer("Bilinear's in1_features", in1_features)
        self.in2_features = check_integer("Bilinear's in2_features", in2_features)
        self.out_features = check_integer("Bilinear's out_features", out_features)
        activation_function(nonlinearity)
        shape = (self.out_features, self.in1_features, self.in2_features)
        products = self.in1_features * self.in2_features  # that an output adds up
        weight = init.for_activation(
            nonlinearity, products, self.out_features, shape, random.generator(rng)
        )
        self.weight = Parameter(weight.astype(dtype))
        self.bias = Parameter(np.zeros(self.out_features, dtype)) if bias else None

    def forward(self, x1: Any, x2: Any) -> Any:
        """``(..., in1_features)`` and ``(..., in2_features)`` to ``(..., out_features)``."""
        fits = x1.shape == (*x2.shape[:-1], self.in1_features)
        if not fits or x2.shape[-1:] != (self.in2_features,):
            raise tg.ShapeError(
                f"{self._in_place()} takes x1 (..., {self.in1_features}) and x2 (...,"
                f" {self.in2_features}), alike but for the last axis, not {tuple(x1.shape)} and"
                f" {tuple(x2.shape)}"
            )
        y = tg.einsum("...i,kij,...j->...k", x1, self.weight, x2)
        return y if self.bias is None else y + self.bias

    def _extra_repr(self) -> str:
        return f"{self.in1_features}, {self.in2_features} -> {self.out_features}"
