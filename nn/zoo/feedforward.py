"""The plain feed-forward network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from nn.checks import check_integer
from nn.containers import Sequential
from nn.errors import ConfigurationError
from nn.layers.activation import activation_module
from nn.layers.dropout import Dropout
from nn.layers.flatten import Flatten
from nn.layers.linear import Linear
from nn.module import Module


def feedforward(
    sizes: Sequence[int | Sequence[int]],
    activation: str = "relu",
    dropout: float = 0.0,
    *,
    rng: np.random.Generator | None = None,
) -> Sequential:
    """Linear layers with an activation, and perhaps dropout, between them; logits come out.

    Args:
        sizes: the width of the input, of each hidden layer, and of the output. That of the input
            may be a shape, such as (1, 8, 8) of an image, which is then flattened first.
        activation: the activation's name; also sets the scale of the initial weights.
        dropout: the probability of dropping a hidden activation in training.
        rng: where initial weights and dropout masks come from; the shared generator by default.

    >>> feedforward([64, 32, 10])
    Sequential(
      (linear1): Linear(64 -> 32)  weight (32, 64), bias (32,): 2,080
      (relu1): ReLU()
      (linear2): Linear(32 -> 10)  weight (10, 32), bias (10,): 330
    )
    2,410 parameters
    """
    if len(sizes) < 2:
        raise ConfigurationError(f"a network needs an input and an output size, not {sizes!r}")
    modules: dict[str, Module] = {}
    widths: list[Any] = list(sizes)
    if isinstance(widths[0], Sequence):
        shape = [check_integer("each size of a network's input", size) for size in widths[0]]
        widths[0] = math.prod(shape)
        modules["flatten"] = Flatten()
    for i, (n_in, n_out) in enumerate(pairwise(widths[:-1]), start=1):
        modules[f"linear{i}"] = Linear(n_in, n_out, nonlinearity=activation, rng=rng)
        function = activation_module(activation)
        modules[f"{type(function).__name__.lower()}{i}"] = function
        if dropout:
            modules[f"dropout{i}"] = Dropout(dropout, rng=rng)
    modules[f"linear{len(widths) - 1}"] = Linear(widths[-2], widths[-1], rng=rng)
    return Sequential(modules)
